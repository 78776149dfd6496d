/**
 * Whole prompts of different lengths, and what the model says after each: the output of its rank head, its pooled
 * hidden states, or the logits of a few tokens at the next position.
 *
 * A GPU decodes several prompts together. A CPU gains nothing by that (a prompt fills it), and its flash attention adds up
 * in another order for every batch, which moves the scores of a random model by up to 3e-3; one by one they depend on
 * nothing else and are llama-server's to the last digit.
 */

import koffi from "koffi";
import { present } from "../../present.ts";
import type { Pooling } from "../engine.ts";
import { BATCH_TOKENS, type Batch, type Decoder } from "./decoder.ts";

/** Contexts grow by powers of 2 from here, so that prompts of about the same length share one. */
const SMALLEST_CONTEXT = 64;
/** Prompts that a GPU decodes together, at most; llama.cpp allows 256 (LLAMA_MAX_SEQ). */
const MOST_TOGETHER = 32;

/** Decodes prompts; `together`: several at a time. */
export interface PromptDecoder {
  readonly decoder: Decoder;
  readonly together: boolean;
}

interface PromptBatch extends Batch {
  readonly prompts: number;
}

/** Per prompt `width` values: of the rank head, or of the pooled hidden states. */
export function poolPrompts(
  by: PromptDecoder,
  prompts: readonly Int32Array[],
  pooling: Pooling,
  width: number,
): Float32Array[] {
  return decodeBatches(by, prompts, pooling, (batch) => by.decoder.decodePooled(batch, width));
}

/** Per prompt the logits of `ids` at the position after it. */
export function nextLogits(
  by: PromptDecoder,
  prompts: readonly Int32Array[],
  ids: Int32Array,
  vocabSize: number,
): Float32Array[] {
  return decodeBatches(by, prompts, undefined, (batch) => {
    const logits = new Float32Array(koffi.view(by.decoder.decode(batch), batch.prompts * vocabSize * 4));
    return Array.from({ length: batch.prompts }, (_, row) =>
      Float32Array.from(ids, (id) => logits[row * vocabSize + id] as number),
    );
  });
}

function decodeBatches(
  { decoder, together }: PromptDecoder,
  prompts: readonly Int32Array[],
  pooling: Pooling | undefined,
  decode: (batch: PromptBatch) => Float32Array[],
): Float32Array[] {
  const longest = prompts.reduce((length, prompt) => Math.max(length, prompt.length), 1);
  const length = Math.max(SMALLEST_CONTEXT, 2 ** Math.ceil(Math.log2(longest)));
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
