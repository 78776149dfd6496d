/**
 * The beginning of a text, as much as a context can hold: a text of megabytes would keep the engine busy for the sake of
 * tokens that are cut off again. What is left out never changes what is kept.
 */
import type { LoadedRanker } from "../engine/engine.ts";

/** UTF-16 units per token of the context that are looked at first: two to four times what prose has. */
const USUAL_UNITS = 16;
/** A context is full when its tokens are there this many times: how the last word tokenizes depends on what follows. */
const ENOUGH = 2;
/**
 * No vocabulary's tokens are longer: 128 spaces are the longest of Qwen, Llama and GPT. A text of more for every token is
 * longer than the context, unless its tokenizer makes nothing of it (the spaces and unknown words of BERT); it is taken
 * as too long, but never below LEAST_UNITS.
 */
const LONGEST_TOKEN = 256;
const LEAST_UNITS = 2 ** 20;

export interface Beginning {
  readonly text: string;
  /** Whether more followed, too long for the context. */
  readonly cut: boolean;
}

type EncodeOptions = Parameters<LoadedRanker["encode"]>[1];

/** The beginning of `text` with more than `limit` tokens, or all of it. Grows until the tokenizer says that it is enough. */
export async function beginningOf(
  ranker: Pick<LoadedRanker, "encode">,
  text: string,
  limit: number,
  options: EncodeOptions,
): Promise<Beginning> {
  const most = Math.max(LEAST_UNITS, limit * LONGEST_TOKEN);
  for (let units = limit * USUAL_UNITS; units < text.length; units *= 4) {
    const beginning = cutAt(text, Math.min(units, most));
    if (units >= most) return { text: beginning, cut: true };
    const [ids = new Int32Array()] = await ranker.encode([beginning], options);
    if (ids.length >= ENOUGH * limit) return { text: beginning, cut: true };
  }
  return { text, cut: false };
}

/** The first units, without half of a character that is a pair. */
function cutAt(text: string, units: number): string {
  const last = text.charCodeAt(units - 1);
  return text.slice(0, last >= 0xd800 && last < 0xdc00 ? units - 1 : units);
}
