/** How llama.cpp v0.5.0 lays out a context: the constructor of src/llama-context.cpp. */
import type { TensorType } from "../ggml/tensor-types.ts";
import { formatInteger } from "../numbers.ts";
import type { HeaderMemory } from "./header-memory.ts";

/** Types of the cache of keys and of that of values. */
export interface KvTypes {
  readonly k: TensorType;
  readonly v: TensorType;
}

/** As llama.cpp's own options name them: q8_0, or of each, q8_0,q4_0. */
export function describeKv({ k, v }: { readonly k: string; readonly v: string }): string {
  return (k === v ? k : `${k},${v}`).toLowerCase();
}

export interface ContextRequest {
  /** Tokens of all sequences together, as `-c` counts them. */
  readonly context: number;
  /** Sequences at a time, among which the context is shared out (`-np`). Default 1. */
  readonly parallel?: number | undefined;
  /** Default F16. */
  readonly kv?: KvTypes | undefined;
  /** Tokens that are computed at a time (`-ub`). Default 512. */
  readonly ubatch?: number | undefined;
}

/** A request with nothing left open that a person has a say in. */
export interface ContextAsked {
  readonly context: number;
  readonly parallel: number;
  readonly kv: KvTypes;
}

/** What is to be wary of where a sequence may get longer than the model was trained on; undefined where none may. */
export function beyondTraining(
  context: number,
  sequences: number,
  trainedContext: number | undefined,
): string | undefined {
  const each = Math.floor(context / sequences);
  if (trainedContext === undefined || each <= trainedContext) return undefined;
  return `--ctx ${context}: ${formatInteger(each)} tokens a sequence, and the model was trained on ${formatInteger(trainedContext)}`;
}

export interface ContextSize {
  /** Tokens of one sequence. */
  readonly cells: number;
  /** Of a layer with a sliding window. */
  readonly windowCells: number;
  readonly sequences: number;
  /** Tokens that are computed at a time. */
  readonly ubatch: number;
  readonly kv: KvTypes;
}

export const F16_CACHE: KvTypes = { k: "F16", v: "F16" };
export const DEFAULT_UBATCH = 512;
/** What is planned for where nobody says: a conversation, some pages of text. */
export const DEFAULT_CONTEXT = 8192;

/** Cells are allocated in steps of this. */
const CELL_STEP = 256;

export function contextSize({ h }: HeaderMemory, request: ContextRequest): ContextSize {
  const { context, parallel = 1, kv = F16_CACHE, ubatch = DEFAULT_UBATCH } = request;
  const batch = Math.min(context, ubatch);
  const cells = padded(Math.floor(padded(context) / parallel));
  const window = h.number("n_swa") + batch;
  return { cells, windowCells: padded(Math.min(cells, window)), sequences: parallel, ubatch: batch, kv };
}

/** The next multiple of CELL_STEP. */
export function padded(cells: number): number {
  return Math.ceil(cells / CELL_STEP) * CELL_STEP;
}
