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
import type { Model, OpenModel, RowRange, TensorInfo } from "../gguf/model.ts";
import { checkImatrix } from "../imatrix/check.ts";
import { findHoles } from "../imatrix/coverage.ts";
import type { Imatrix } from "../imatrix/imatrix.ts";
import type { Backend } from "../kernels/backend.ts";
import { withDefaults } from "../present.ts";
import { PRISM_VERSION } from "../version.ts";
import { createWorkQueue } from "../work-queue.ts";
import type { Analysis, ImatrixIdentity, ModelIdentity, TensorAnalysis } from "./analysis.ts";
import { summarizeClasses } from "./class-summary.ts";
import { checkMeasurable, createMemoryBudget, measurementBytes } from "./memory-budget.ts";
import { type ResidualWriter, spectralPositionOf, spectralPositions } from "./spectral-position.ts";
import {
  describeTensor,
  type MeasurementOptions,
  measureTensor,
  type TensorMeasurement,
} from "./tensor-measurement.ts";
import { measurePart, type TensorPart } from "./tensor-part.ts";

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
  if (asked.imatrix) checkImatrix(asked.imatrix, open.model);
  const backend = await bench.backend();
  const measurements = await measureTensors(open, asked, bench, backend, journal);
  await requireUnchanged(open, bench);
  const { engine, seed } = bench;
  const { version, origin } = engine.info;
  const elapsedMs = Math.round(performance.now() - started);
  return assembleAnalysis(open, asked, measurements, {
    engine: { version, origin },
    backend: backend.name,
    seed,
    elapsedMs,
  });
}

/** What measured the tensors. */
export interface MeasuredWith extends Pick<Analysis, "engine" | "backend"> {
  readonly seed: number;
  readonly elapsedMs: number;
}

/** The document of a model whose tensors are all measured, in file order. */
export function assembleAnalysis(
  open: OpenModel,
  request: AnalyzeRequest,
  measurements: readonly TensorMeasurement[],
  { engine, backend, seed, elapsedMs }: MeasuredWith,
): Analysis {
  const asked: CompleteAnalyzeRequest = withDefaults(ANALYZE_DEFAULTS, request);
  const { model, facts } = open;
  const { imatrix, exactMetrics, exactDistortion, targetRelativeSe } = asked;
  // every layer has a tensor; the count that a damaged file gives may be any
  const tensors = withPositions(measurements, Math.min(facts.layers, measurements.length));
  return {
    schema: "prism.analysis/1",
    prismVersion: PRISM_VERSION,
    createdAt: new Date().toISOString(),
    model: identifyModel(open),
    facts,
    engine,
    backend,
    ...(imatrix && { imatrix: identifyImatrix(imatrix, model) }),
    sampling: {
      exactMetrics,
      exactDistortion,
      seed,
      targetRelativeSe,
      bytesRead: measurements.reduce((sum, { bytesRead }) => sum + bytesRead, 0),
      elapsedMs,
    },
    tensors,
    classes: summarizeClasses(tensors),
  };
}

/** Measures tensors one by one, as many at a time as it is asked; they share the threads and the memory of the bench. */
export interface TensorMeter {
  /** Tensors that keep the threads busy. */
  readonly width: number;
  /** Throws FormatError where weights are not finite. */
  measure(tensor: TensorInfo): Promise<TensorMeasurement>;
  /** Of rows that cutRows() cut, where metrics and distortion are exact. */
  measureRows(tensor: TensorInfo, rows: RowRange): Promise<TensorPart>;
}

export function createTensorMeter(
  file: OpenModel,
  request: AnalyzeRequest,
  { engine, threads, seed, memoryBytes }: Bench,
  backend: Backend,
  signal: AbortSignal,
): TensorMeter {
  const { imatrix, targetRelativeSe, exactMetrics, exactDistortion, types }: CompleteAnalyzeRequest = withDefaults(
    ANALYZE_DEFAULTS,
    request,
  );
  const memory = createMemoryBudget(memoryBytes);
  const queue = createWorkQueue(threads, signal);
  const options: MeasurementOptions = {
    file,
    library: requireLibrary(engine),
    backend,
    imatrix,
    seed,
    targetRelativeSe,
    exactMetrics,
    exactDistortion,
    types,
    queue,
  };
  checkMeasurable(file.model.path, measurableTensors(file.model), memoryBytes, exactMetrics);
  const within = <Result>(tensor: TensorInfo, work: () => Promise<Result>) =>
    memory.run(measurementBytes(tensor, exactMetrics), work);
  return {
    width: TENSORS_PER_THREAD * threads,
    measure: (tensor) => within(tensor, () => measureTensor(tensor, options)),
    measureRows: (tensor, rows) => within(tensor, () => measurePart(tensor, rows, options)),
  };
}

/** Tensors that llama-quantize would quantize, in file order. */
export function measurableTensors({ tensors }: Model): TensorInfo[] {
  return tensors.filter((tensor) => describeTensor(tensor).eligible);
}

/** Measure all tensors; the first failure stops the others. The result is in file order. */
async function measureTensors(
  file: OpenModel,
  request: CompleteAnalyzeRequest,
  bench: Bench,
  backend: Backend,
  { finished, onMeasured }: AnalysisJournal,
): Promise<TensorMeasurement[]> {
  const { signal, progress } = bench;
  signal.throwIfAborted();
  const stop = new AbortController();
  const stopped = AbortSignal.any([signal, stop.signal]);
  setMaxListeners(0, stopped);
  const meter = createTensorMeter(file, request, bench, backend, stopped);
  const tensorQueue = createWorkQueue(meter.width, stopped);
  const total = measurableTensors(file.model).length;
  let done = 0;
  let failure: unknown;
  const measure = async (tensor: TensorInfo): Promise<TensorMeasurement> => {
    const measured = await meter.measure(tensor);
    await onMeasured?.(measured);
    return measured;
  };
  const settled = await Promise.allSettled(
    file.model.tensors.map(async (tensor): Promise<TensorMeasurement> => {
      const analysis = describeTensor(tensor);
      if (!analysis.eligible) return { analysis, bytesRead: 0 };
      try {
        const known = finished?.get(tensor.name);
        const result = known ?? (await tensorQueue.run(() => measure(tensor)));
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
