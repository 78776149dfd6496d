/** What an evaluation is asked, and its defaults. */
import type { Engine } from "../engine/engine.ts";
import { UsageError } from "../errors.ts";

/** llama-perplexity's default context. */
export const DEFAULT_CONTEXT = 512;
/** Fewer tokens than this leave nothing to score. */
const MIN_CONTEXT = 8;
/** Reference logits kept on disk unless --cache-limit says otherwise. */
export const DEFAULT_CACHE_LIMIT_BYTES = 16e9;

export interface EvaluateOptions {
  readonly engine: Engine;
  /** Models to evaluate. */
  readonly models: readonly string[];
  /** What they are compared with; without one, perplexity only. */
  readonly reference?: string;
  /** A text file; without one the text is sampled from the reference. */
  readonly text?: string;
  /** Tokens per chunk; by default 512, or the model's own context if smaller. */
  readonly context?: number;
  /** Exactly this many chunks (at most what the text has); without it the length rule. */
  readonly chunks?: number;
  /** Take the chunks of a text file from all over it; by default they are its first, as llama-perplexity takes them. */
  readonly spread?: boolean;
  readonly seed: number;
  readonly threads: number;
  readonly gpuLayers: number;
  /** Where sampled texts and logits are kept; absent: nowhere. */
  readonly cacheDir?: string;
  readonly cacheLimitBytes?: number;
  readonly signal?: AbortSignal;
  readonly onNote?: (note: string) => void;
  readonly onProgress?: (what: string, done: number, total: number) => void;
}

/** The context to evaluate with: asked for, or 512, or the model's own if that is smaller. */
export function chooseContext(asked: number | undefined, contextTrain: number): number {
  const context = asked ?? Math.min(DEFAULT_CONTEXT, contextTrain || DEFAULT_CONTEXT);
  if (!Number.isInteger(context) || context < MIN_CONTEXT) {
    throw new UsageError(`a context of ${context} tokens leaves nothing to score; give --context 64 or more`);
  }
  return context;
}

/** Chunks of a text file that are taken: what was asked, of what is available. */
export function chunksAtMost({
  chunks,
  availableChunks,
}: {
  readonly chunks?: number;
  readonly availableChunks?: number;
}): number | undefined {
  if (chunks === undefined || availableChunks === undefined) return chunks ?? availableChunks;
  return Math.min(chunks, availableChunks);
}
