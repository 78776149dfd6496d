/**
 * What a stage works with, opened once at the edge (open-bench.ts) and handed to every stage: a stage is
 * stage(document or model, request, bench). What is asked stands in the request; what it is done with stands here.
 */
import type { Engine } from "./engine/engine.ts";
import type { Backend } from "./kernels/backend.ts";

/** Work that counts its steps: `what` is how steps() calls it, or the words that name begins with. */
export interface Phase {
  readonly what: string;
  /** Expected; what is known of this machine corrects it. */
  readonly seconds: number;
}

/** A stage of work that is known beforehand. */
export interface Stage {
  readonly name: string;
  /** The phases of each of its parts, in order: a file of several, a pass. Most stages have one part. */
  readonly parts: readonly (readonly Phase[])[];
}

/** Which of the parts of a stage begins, and its name. */
export interface StagePart {
  readonly index: number;
  readonly name: string;
}

/** What is told while a stage works. */
export interface Progress {
  /** An estimate, a decision, something that a person should know: in words. */
  note(text: string): void;
  /** Of `what`, `done` steps of `total` are done; `latest` names the last of them. */
  steps(what: string, done: number, total: number, latest?: string): void;
  /** All that lies ahead, in order. Told again where more is known: a stage takes the place of its namesake. */
  stages?(ahead: readonly Stage[]): void;
  /** A stage that was told begins, or another part of it; those before it are over. */
  begin?(stage: string, part?: StagePart): void;
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
