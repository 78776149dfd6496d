/**
 * Model → Analysis: metrics and distortion of every tensor that llama-quantize would quantize.
 * In come an open model and its facts, an engine for the round trips and a backend for the metrics; out comes a plain
 * document, the same for the same model, imatrix, seed and options, whatever the number of threads. No more than a
 * bounded piece of a tensor per thread is ever in memory. Definitions: the files of the single metrics, distortion.ts.
 */
import { setMaxListeners } from "node:events";
import type { Engine } from "../engine/engine.ts";
import { InterruptedError } from "../errors.ts";
import type { ModelFacts } from "../ggml/model-facts.ts";
import type { Model, ModelFile, TensorInfo } from "../gguf/model.ts";
import { checkImatrix } from "../imatrix/check.ts";
import { findHoles } from "../imatrix/coverage.ts";
import type { Imatrix } from "../imatrix/imatrix.ts";
import type { Backend } from "../kernels/backend.ts";
import { PRISM_VERSION } from "../version.ts";
import type { Analysis, ImatrixIdentity, ModelIdentity, TensorAnalysis } from "./analysis.ts";
import { summarizeClasses } from "./class-summary.ts";
import { createMemoryBudget, DEFAULT_MEMORY_BYTES, type MemoryBudget, measurementBytes } from "./memory-budget.ts";
import { type ResidualWriter, spectralPositionOf, spectralPositions } from "./spectral-position.ts";
import {
  describeTensor,
  type MeasurementOptions,
  measureTensor,
  type TensorMeasurement,
} from "./tensor-measurement.ts";
import { createWorkQueue } from "./work-queue.ts";

export interface AnalyzeOptions {
  readonly engine: Pick<Engine, "info" | "roundTrip">;
  readonly backend: Backend;
  readonly imatrix?: Imatrix;
  readonly seed: number;
  /** Tensors measured, and round trips run, at a time. */
  readonly threads: number;
  /** Relative standard error of D to sample until; default 0.02. */
  readonly targetRelativeSe?: number;
  readonly exactMetrics?: boolean;
  readonly exactDistortion?: boolean;
  /** Bytes of weights in memory at once, over all tensors; default 1 GiB. */
  readonly memoryBytes?: number;
  /** Measurements of an earlier analysis with the same options, by tensor. */
  readonly finished?: ReadonlyMap<string, TensorMeasurement>;
  /** Called with each new measurement, and waited for. */
  readonly onMeasured?: (measurement: TensorMeasurement) => Promise<void>;
  readonly signal?: AbortSignal;
  /** Called after each measured tensor, of `total` to measure. */
  readonly onProgress?: (done: number, total: number, name: string) => void;
}

/** Distortions of neighbouring types differ by 15 % (Q4_K, IQ4_XS) and more: 2 % never confuses them. */
export const TARGET_RELATIVE_SE = 0.02;

/** Tensors under way per thread: while some compute, others read. */
const TENSORS_PER_THREAD = 2;

/**
 * Analyze a model. Throws FormatError where the imatrix is of another model or weights are not finite, and
 * InterruptedError soon after `signal` is aborted.
 */
export async function analyze(file: ModelFile, facts: ModelFacts, options: AnalyzeOptions): Promise<Analysis> {
  const started = performance.now();
  const { model } = file;
  const { imatrix, engine, backend, seed } = options;
  if (imatrix) checkImatrix(imatrix, model);
  const measurements = await measureTensors(file, options);
  // every layer has a tensor; the count that a damaged file gives may be any
  const tensors = withPositions(measurements, Math.min(facts.layers, measurements.length));
  return {
    schema: "prism.analysis/1",
    prismVersion: PRISM_VERSION,
    createdAt: new Date().toISOString(),
    model: identifyModel(model),
    facts,
    engine: { version: engine.info.version, origin: engine.info.origin },
    backend: backend.name,
    ...(imatrix && { imatrix: identifyImatrix(imatrix, model) }),
    sampling: {
      exactMetrics: options.exactMetrics ?? false,
      exactDistortion: options.exactDistortion ?? false,
      seed,
      targetRelativeSe: options.targetRelativeSe ?? TARGET_RELATIVE_SE,
      bytesRead: measurements.reduce((sum, { bytesRead }) => sum + bytesRead, 0),
      elapsedMs: Math.round(performance.now() - started),
    },
    tensors,
    classes: summarizeClasses(tensors),
  };
}

/** Measure all tensors; the first failure stops the others. The result is in file order. */
async function measureTensors(file: ModelFile, options: AnalyzeOptions): Promise<TensorMeasurement[]> {
  const { threads, signal, onProgress } = options;
  const stop = new AbortController();
  setMaxListeners(0, stop.signal);
  const onAbort = () => stop.abort();
  if (signal?.aborted) throw new InterruptedError();
  signal?.addEventListener("abort", onAbort, { once: true });

  const tensorQueue = createWorkQueue(TENSORS_PER_THREAD * threads, stop.signal);
  const memory = createMemoryBudget(options.memoryBytes ?? DEFAULT_MEMORY_BYTES);
  const measurement = {
    file,
    engine: options.engine,
    backend: options.backend,
    ...(options.imatrix && { imatrix: options.imatrix }),
    seed: options.seed,
    targetRelativeSe: options.targetRelativeSe ?? TARGET_RELATIVE_SE,
    exactMetrics: options.exactMetrics ?? false,
    exactDistortion: options.exactDistortion ?? false,
    queue: createWorkQueue(threads, stop.signal),
  };
  const described = file.model.tensors.map((tensor) => ({ tensor, analysis: describeTensor(tensor) }));
  const total = described.filter(({ analysis }) => analysis.eligible).length;
  let done = 0;
  let failure: unknown;
  const settled = await Promise.allSettled(
    described.map(async ({ tensor, analysis }): Promise<TensorMeasurement> => {
      if (!analysis.eligible) return { analysis, bytesRead: 0 };
      try {
        const known = options.finished?.get(tensor.name);
        const result = known ?? (await tensorQueue.run(() => measureWithin(memory, tensor, measurement, options)));
        onProgress?.(++done, total, tensor.name);
        return result;
      } catch (error) {
        failure ??= error;
        stop.abort();
        throw error;
      }
    }),
  );
  signal?.removeEventListener("abort", onAbort);
  if (failure !== undefined) throw failure;
  return settled.flatMap((result) => (result.status === "fulfilled" ? [result.value] : []));
}

async function measureWithin(
  memory: MemoryBudget,
  tensor: TensorInfo,
  measurement: MeasurementOptions,
  { onMeasured }: AnalyzeOptions,
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

function identifyModel(model: Model): ModelIdentity {
  return {
    path: model.path,
    shards: model.shards.map(({ path }) => path),
    arch: model.arch,
    ...(model.name !== undefined && { name: model.name }),
    tensorCount: model.tensors.length,
    elements: model.tensors.reduce((sum, { elements }) => sum + elements, 0),
    fileBytes: model.shards.reduce((sum, { fileBytes }) => sum + fileBytes, 0),
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
