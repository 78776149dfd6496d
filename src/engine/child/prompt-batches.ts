/**
 * Whole prompts of different lengths, and what the model says after each: the output of its rank head, its pooled
 * hidden states, or the logits of a few tokens at the next position.
 *
 * A GPU decodes several prompts together. A CPU gains nothing by that (a prompt fills it), and its flash attention adds up
 * in another order for every batch, which moves the scores of a random model by up to 3e-3; one by one they depend on
 * nothing else, and those of rank heads are llama-server's to the last digit.
 */

import koffi from "koffi";
import { present } from "../../present.ts";
import type { Pooling } from "../engine.ts";
import { BATCH_TOKENS, type Batch, type Decoder } from "./decoder.ts";
import type { TokenizedPrompt } from "./vision.ts";

/** Contexts grow by powers of 2 from here, so that prompts of about the same length share one. */
const SMALLEST_CONTEXT = 64;
/** Prompts that a GPU decodes together, at most; llama.cpp allows 256 (LLAMA_MAX_SEQ). */
const MOST_TOGETHER = 32;

/**
 * A prompt divided at a multiple of DIVISION, into parts of LEAST_ROWS or more, gives what it gives whole, as long as that
 * is a batch of llama.cpp's (512 tokens). On a CPU its attention takes 64 tokens at a time and adds up in float32; fewer
 * it takes one after another and adds up in float16 (GGML_FA_TILE_Q). Products with quantized weights take 4 tokens
 * together, and those left over singly.
 */
const LEAST_ROWS = 64;
const DIVISION = 16;

/** Decodes prompts; `together`: several at a time. */
export interface PromptDecoder {
  readonly decoder: Decoder;
  readonly together: boolean;
}

interface PromptBatch extends Batch {
  readonly prompts: number;
}

export interface PoolingAsked {
  readonly pooling: Pooling;
  /** Tokens with which all prompts begin alike, fewer than any has; more than 0 only where a position sees none after it, and the last is pooled. */
  readonly shared: number;
}

/** Per prompt `width` values: of the rank head, or of the pooled hidden states. */
export function poolPrompts(
  by: PromptDecoder,
  prompts: readonly Int32Array[],
  { pooling, shared }: PoolingAsked,
  width: number,
): Float32Array[] {
  return decodePrompts(by, prompts, { pooling, shared }, (batch) => by.decoder.decodePooled(batch, width));
}

export interface EmbeddedPrompt {
  readonly ids: Int32Array;
  /** As many as there are ids. */
  readonly rows: Float32Array;
}

/** The same of prompts given by the rows of their embeddings, one after another. */
export function poolRows(
  decoder: Decoder,
  prompts: readonly EmbeddedPrompt[],
  pooling: Pooling,
  width: number,
): Float32Array[] {
  return prompts.flatMap(({ ids, rows }) => {
    const length = roomFor([ids]);
    decoder.start({ sequences: 1, length, batchTokens: length, pooling });
    return decoder.decodePooled({ ...joinPrompts([ids]), rows }, width);
  });
}

/** The same of a prompt with images, or the logits of the whole vocabulary. */
export function seePrompt(
  decoder: Decoder,
  prompt: TokenizedPrompt,
  pooling: Pooling | undefined,
  width: number,
): Float32Array {
  const length = roomForTokens(prompt.tokens);
  decoder.start({ sequences: 1, length, batchTokens: length, ...present({ pooling }) });
  return decoder.decodeBy((context) => prompt.decode(context, length), width);
}

export interface LogitsAsked {
  /** Tokens of which the logits are wanted. */
  readonly ids: Int32Array;
  /** Tokens with which all prompts begin alike, fewer than any has. */
  readonly shared: number;
}

/** Per prompt the logits of `ids` at the position after it. */
export function nextLogits(
  by: PromptDecoder,
  prompts: readonly Int32Array[],
  { ids, shared }: LogitsAsked,
  vocabSize: number,
): Float32Array[] {
  const read = (batch: PromptBatch) => {
    const logits = new Float32Array(koffi.view(by.decoder.decode(batch), batch.prompts * vocabSize * 4));
    return Array.from({ length: batch.prompts }, (_, row) =>
      Float32Array.from(ids, (id) => logits[row * vocabSize + id] as number),
    );
  };
  return decodePrompts(by, prompts, { shared }, read);
}

interface Asked {
  readonly pooling?: Pooling;
  readonly shared: number;
}

type Decode = (batch: PromptBatch) => Float32Array[];

function decodePrompts(
  by: PromptDecoder,
  prompts: readonly Int32Array[],
  asked: Asked,
  decode: Decode,
): Float32Array[] {
  if (by.together || asked.shared < LEAST_ROWS) return decodeBatches(by, prompts, asked.pooling, decode);
  return decodeBranches(by, prompts, asked, decode);
}

/**
 * One prompt after another, what they share once. Where a prompt is divided follows from its own length and what it
 * shares, even for one alone: what it gives depends on no other.
 */
function decodeBranches(
  by: PromptDecoder,
  prompts: readonly Int32Array[],
  { pooling, shared }: Asked,
  decode: Decode,
): Float32Array[] {
  const { decoder } = by;
  const length = roomFor(prompts);
  return prompts.flatMap((prompt) => {
    const at = divideAt(prompt.length, shared);
    if (at === 0) return decodeBatches(by, [prompt], pooling, decode);
    const shape = { sequences: 2, length, batchTokens: length, shared: true, ...present({ pooling }) };
    decoder.startWith(shape, prompt.slice(0, at));
    decoder.branch();
    const rest = joinPrompts([prompt.subarray(at)]);
    return decode({ ...rest, positions: rest.positions.map((index) => index + at), sequences: rest.sequences.fill(1) });
  });
}

/** The farthest place where both parts have rows enough; 0: nowhere. Prompts of about the same length share it. */
function divideAt(length: number, shared: number): number {
  const most = Math.min(shared, length - LEAST_ROWS);
  return most < LEAST_ROWS ? 0 : most - (most % DIVISION);
}

/** Tokens of a context for the longest of the prompts. */
function roomFor(prompts: readonly Int32Array[]): number {
  const longest = prompts.reduce((length, prompt) => Math.max(length, prompt.length), 1);
  return roomForTokens(longest);
}

function roomForTokens(tokens: number): number {
  return Math.max(SMALLEST_CONTEXT, 2 ** Math.ceil(Math.log2(tokens)));
}

function decodeBatches(
  { decoder, together }: PromptDecoder,
  prompts: readonly Int32Array[],
  pooling: Pooling | undefined,
  decode: Decode,
): Float32Array[] {
  const length = roomFor(prompts);
  const sequences = together ? Math.max(1, Math.min(MOST_TOGETHER, Math.floor(BATCH_TOKENS / length))) : 1;
  const results: Float32Array[] = [];
  for (let first = 0; first < prompts.length; first += sequences) {
    decoder.start({
      sequences,
      length,
      batchTokens: sequences * length,
      ...present({ pooling }),
    });
    results.push(...decode(joinPrompts(prompts.slice(first, first + sequences))));
  }
  return results;
}

function joinPrompts(prompts: readonly Int32Array[]): PromptBatch {
  const count = prompts.reduce((sum, prompt) => sum + prompt.length, 0);
  const tokens = new Int32Array(count);
  const positions = new Int32Array(count);
  const sequences = new Int32Array(count);
  const outputs = new Int8Array(count);
  let at = 0;
  prompts.forEach((prompt, sequence) => {
    tokens.set(prompt, at);
    sequences.fill(sequence, at, at + prompt.length);
    for (let i = 0; i < prompt.length; i++) positions[at + i] = i;
    at += prompt.length;
    outputs[at - 1] = 1;
  });
  return { tokens, positions, sequences, outputs, prompts: prompts.length };
}
