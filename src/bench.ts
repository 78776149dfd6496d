/**
 * What a stage works with, opened once at the edge (open-bench.ts) and handed to every stage: a stage is
 * stage(document or model, request, bench). What is asked stands in the request; what it is done with stands here.
 */
import type { Engine } from "./engine/engine.ts";
import type { Backend } from "./kernels/backend.ts";

/** What is told while a stage works. */
export interface Progress {
  /** A stage begins, an estimate, something that a person should know: in words. */
  note(text: string): void;
  /** Of `what`, `done` steps of `total` are done; `latest` names the last of them. */
  steps(what: string, done: number, total: number, latest?: string): void;
}

/** Tells nobody. */
export const SILENT: Progress = { note: () => undefined, steps: () => undefined };

/** What may be kept on disk between commands. */
export interface BenchCache {
  /** The folder; absent: nothing is kept. */
  readonly dir?: string | undefined;
  /** Bytes that the logits of references may take; sums of inputs half as many, and codes on their way. */
  readonly logitsLimitBytes: number;
}

export interface Bench {
  readonly engine: Engine;
  /** What computes the metrics; opened when it is first asked for. */
  backend(): Promise<Backend>;
  readonly threads: number;
  /** Layers of a model that are put on a GPU. */
  readonly gpuLayers: number;
  /** That is still to be chosen by what fits (evaluate/gpu-layers.ts), and 0 until then. */
  readonly autoLayers?: boolean | undefined;
  /** What everything random starts from. */
  readonly seed: number;
  /** Bytes of weights in memory at once. */
  readonly memoryBytes: number;
  readonly cache: BenchCache;
  /** Aborted: stages stop, clean up, and throw its reason. */
  readonly signal: AbortSignal;
  readonly progress: Progress;
}

/** Bytes of reference logits kept on disk. */
export const DEFAULT_LOGITS_LIMIT_BYTES = 16e9;

/** Opens the bench when something first needs it: documents need none. */
export type BenchOpener = () => Promise<Bench>;
