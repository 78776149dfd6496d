/**
 * Model → Analysis: metrics and distortion of every tensor that llama-quantize would quantize.
 * In comes an open model; the bench has an engine for the round trips and a backend for the metrics; out comes a plain
 * document, the same for the same model, imatrix, seed and options, whatever the number of threads. No more than a
 * bounded piece of a tensor per thread is ever in memory. Definitions: the files of the single metrics, distortion.ts.
 */
import { setMaxListeners } from "node:events";
import type { Bench } from "../bench.ts";
import { requireLibrary } from "../engine/engine.ts";
import type { TensorType } from "../ggml/tensor-types.ts";
import { requireUnchanged } from "../gguf/identity.ts";
import type { Model, OpenModel, TensorInfo } from "../gguf/model.ts";
import { checkImatrix } from "../imatrix/check.ts";
import { findHoles } from "../imatrix/coverage.ts";
import type { Imatrix } from "../imatrix/imatrix.ts";
import type { Backend } from "../kernels/backend.ts";
import { withDefaults } from "../present.ts";
import { PRISM_VERSION } from "../version.ts";
import { createWorkQueue } from "../work-queue.ts";
import type { Analysis, ImatrixIdentity, ModelIdentity, TensorAnalysis } from "./analysis.ts";
import { summarizeClasses } from "./class-summary.ts";
import { checkMeasurable, createMemoryBudget, type MemoryBudget, measurementBytes } from "./memory-budget.ts";
import { type ResidualWriter, spectralPositionOf, spectralPositions } from "./spectral-position.ts";
import {
  describeTensor,
  type MeasurementOptions,
  measureTensor,
  type TensorMeasurement,
} from "./tensor-measurement.ts";

export interface AnalyzeRequest {
  readonly imatrix?: Imatrix | undefined;
  /** Relative standard error of D to sample until. */
  readonly targetRelativeSe?: number | undefined;
  /** The metrics over every weight. */
  readonly exactMetrics?: boolean | undefined;
  /** Every weight quantized in each type. */
  readonly exactDistortion?: boolean | undefined;
  /** Types to measure beside the candidates, where a tensor can take them. */
  readonly types?: readonly TensorType[] | undefined;
}

/** What an interrupted analysis left, and where a new one leaves what it measures. */
export interface AnalysisJournal {
  /** Measurements of an earlier analysis with the same request, by tensor. */
  readonly finished?: ReadonlyMap<string, TensorMeasurement> | undefined;
  /** Called with each new measurement, and waited for. */
  readonly onMeasured?: ((measurement: TensorMeasurement) => Promise<void>) | undefined;
}

/** Distortions of neighbouring types differ by 15 % (Q4_K, IQ4_XS) and more: 2 % never confuses them. */
export const DISTORTION_RELATIVE_SE = 0.02;

export const ANALYZE_DEFAULTS = {
  targetRelativeSe: DISTORTION_RELATIVE_SE,
  exactMetrics: false,
  exactDistortion: false,
} as const satisfies AnalyzeRequest;

/** A request with nothing left open. */
export interface CompleteAnalyzeRequest extends Pick<AnalyzeRequest, "imatrix" | "types"> {
  readonly targetRelativeSe: number;
  readonly exactMetrics: boolean;
  readonly exactDistortion: boolean;
}

/** Tensors under way per thread: while some compute, others read. */
const TENSORS_PER_THREAD = 2;

/**
 * Analyze a model. Throws FormatError where the imatrix is of another model or weights are not finite, and the reason of
 * the bench's signal soon after it is aborted.
 */
export async function analyze(
  open: OpenModel,
  request: AnalyzeRequest,
  bench: Bench,
  journal: AnalysisJournal = {},
): Promise<Analysis> {
  const started = performance.now();
  const asked: CompleteAnalyzeRequest = withDefaults(ANALYZE_DEFAULTS, request);
  const { model, facts } = open;
  const { imatrix, exactMetrics, exactDistortion, targetRelativeSe } = asked;
  const { engine, seed } = bench;
  if (imatrix) checkImatrix(imatrix, model);
  const backend = await bench.backend();
  const measurements = await measureTensors(open, asked, bench, backend, journal);
  // every layer has a tensor; the count that a damaged file gives may be any
  await requireUnchanged(open, bench);
  const tensors = withPositions(measurements, Math.min(facts.layers, measurements.length));
  return {
    schema: "prism.analysis/1",
    prismVersion: PRISM_VERSION,
    createdAt: new Date().toISOString(),
    model: identifyModel(open),
    facts,
    engine: { version: engine.info.version, origin: engine.info.origin },
    backend: backend.name,
    ...(imatrix && { imatrix: identifyImatrix(imatrix, model) }),
    sampling: {
      exactMetrics,
      exactDistortion,
      seed,
      targetRelativeSe,
      bytesRead: measurements.reduce((sum, { bytesRead }) => sum + bytesRead, 0),
      elapsedMs: Math.round(performance.now() - started),
    },
    tensors,
    classes: summarizeClasses(tensors),
  };
}

/** Measure all tensors; the first failure stops the others. The result is in file order. */
async function measureTensors(
  file: OpenModel,
  { imatrix, targetRelativeSe, exactMetrics, exactDistortion, types }: CompleteAnalyzeRequest,
  { engine, threads, seed, memoryBytes, signal, progress }: Bench,
  backend: Backend,
  { finished, onMeasured }: AnalysisJournal,
): Promise<TensorMeasurement[]> {
  signal.throwIfAborted();
  const stop = new AbortController();
  const stopped = AbortSignal.any([signal, stop.signal]);
  setMaxListeners(0, stopped);
  const tensorQueue = createWorkQueue(TENSORS_PER_THREAD * threads, stopped);
  const memory = createMemoryBudget(memoryBytes);
  const measurement = {
    file,
    library: requireLibrary(engine),
    backend,
    imatrix,
    seed,
    targetRelativeSe,
    exactMetrics,
    exactDistortion,
    types,
    queue: createWorkQueue(threads, stopped),
  };
  const described = file.model.tensors.map((tensor) => ({ tensor, analysis: describeTensor(tensor) }));
  const eligible = described.filter(({ analysis }) => analysis.eligible).map(({ tensor }) => tensor);
  checkMeasurable(file.model.path, eligible, memoryBytes, exactMetrics);
  const total = eligible.length;
  let done = 0;
  let failure: unknown;
  const settled = await Promise.allSettled(
    described.map(async ({ tensor, analysis }): Promise<TensorMeasurement> => {
      if (!analysis.eligible) return { analysis, bytesRead: 0 };
      try {
        const known = finished?.get(tensor.name);
        const result = known ?? (await tensorQueue.run(() => measureWithin(memory, tensor, measurement, onMeasured)));
        progress.steps("analyzing", ++done, total, tensor.name);
        return result;
      } catch (error) {
        failure ??= error;
        stop.abort();
        throw error;
      }
    }),
  );
  if (failure !== undefined) throw failure;
  return settled.flatMap((result) => (result.status === "fulfilled" ? [result.value] : []));
}

async function measureWithin(
  memory: MemoryBudget,
  tensor: TensorInfo,
  measurement: MeasurementOptions,
  onMeasured: AnalysisJournal["onMeasured"],
): Promise<TensorMeasurement> {
  const bytes = measurementBytes(tensor, measurement.exactMetrics);
  const measured = await memory.run(bytes, () => measureTensor(tensor, measurement));
  await onMeasured?.(measured);
  return measured;
}

function withPositions(measurements: readonly TensorMeasurement[], layers: number): TensorAnalysis[] {
  const writers = measurements.flatMap(({ analysis, sigmaMax }): ResidualWriter[] =>
    analysis.layer === undefined || sigmaMax === undefined
      ? []
      : [{ class: analysis.class, layer: analysis.layer, sigmaMax }],
  );
  const positions = spectralPositions(writers, layers);
  return measurements.map(({ analysis }) => withPosition(analysis, positions));
}

/** Complete the metrics of a tensor; parts without content are left out of the document. */
function withPosition(analysis: TensorAnalysis, positions: readonly number[]): TensorAnalysis {
  if (analysis.metrics === undefined) return analysis;
  const { metrics: measured, omitted: reasons, ...rest } = analysis;
  const isMeasured = reasons?.spectralPosition === undefined;
  const position = isMeasured ? spectralPositionOf(analysis, positions) : undefined;
  const metrics = { ...measured, ...(position !== undefined && { spectralPosition: position }) };
  const omitted = {
    ...reasons,
    ...(isMeasured && position === undefined && { spectralPosition: "outside the layers" }),
  };
  return {
    ...rest,
    ...(Object.keys(metrics).length > 0 && { metrics }),
    ...(Object.keys(omitted).length > 0 && { omitted }),
  };
}

function identifyModel({ model, fileBytes }: OpenModel): ModelIdentity {
  return {
    path: model.path,
    shards: model.shards.map(({ path }) => path),
    arch: model.arch,
    ...(model.name !== undefined && { name: model.name }),
    tensorCount: model.tensors.length,
    elements: model.tensors.reduce((sum, { elements }) => sum + elements, 0),
    fileBytes,
    headerHash: model.headerHash,
  };
}

function identifyImatrix(imatrix: Imatrix, { tensors }: Model): ImatrixIdentity {
  const { path, sha256, file, dataset, entries, chunks } = imatrix;
  const unseenExperts = findHoles(imatrix, tensors)
    .filter(({ unseen }) => unseen > 0)
    .map(({ class: name, experts, unseen }) => ({ class: name, experts, unseen }));
  return { path, sha256, file, dataset, entries, chunks, ...(unseenExperts.length === 0 ? {} : { unseenExperts }) };
}
