/** What an evaluation is asked, and its defaults. */
import { UsageError } from "../errors.ts";
import type { KvTypes } from "../footprint/context-size.ts";

/** llama-perplexity's default context. */
export const DEFAULT_CONTEXT = 512;
/** Fewer tokens than this leave nothing to score. */
const MIN_CONTEXT = 8;

/** The text that models are judged on, and how much of it. */
export interface TextRequest {
  /** A text file; without one the text is sampled from the reference. */
  readonly text?: string | undefined;
  /** Tokens per chunk; by default 512, or the model's own context if smaller. */
  readonly context?: number | undefined;
  /** Exactly this many chunks (at most what the text has); without it the length rule. */
  readonly chunks?: number | undefined;
  /** Take the chunks of a text file from all over it; by default they are its first, as llama-perplexity takes them. */
  readonly spread?: boolean | undefined;
}

/** What is measured beside the figures of the text. */
export interface MoreFigures {
  /** By kind of text too: files, a kind each; true: the text that comes with PRISM. */
  readonly kinds?: readonly string[] | true | undefined;
  /** With caches of keys and values of these types too. */
  readonly kv?: KvTypes | undefined;
}

export interface EvaluateRequest extends TextRequest, MoreFigures {
  /** Path of the model that others are compared with; without one, perplexity only. */
  readonly reference?: string | undefined;
  /** Measure tokens per second too. */
  readonly speed?: boolean | undefined;
}

export const EVALUATE_DEFAULTS = { spread: false, speed: false } as const satisfies EvaluateRequest;

/** The context to evaluate with: asked for, or 512, or the model's own if that is smaller. */
export function chooseContext(asked: number | undefined, contextTrain: number): number {
  const context = asked ?? Math.min(DEFAULT_CONTEXT, contextTrain || DEFAULT_CONTEXT);
  if (!Number.isInteger(context) || context < MIN_CONTEXT) {
    throw new UsageError(`a context of ${context} tokens leaves nothing to score; give --context 64 or more`);
  }
  return context;
}

/** Chunks of a text file that are taken: what was asked, of what is available. */
export function chunksAtMost(chunks: number | undefined, availableChunks: number | undefined): number | undefined {
  if (chunks === undefined || availableChunks === undefined) return chunks ?? availableChunks;
  return Math.min(chunks, availableChunks);
}
