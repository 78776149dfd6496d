/** Documents cut at their end by whole tokens, as texts. */
import type { LoadedRanker } from "../engine/engine.ts";
import type { Beginning } from "./beginning-of.ts";

/** A text as it is, without what a model adds to it. */
export const PLAIN = { addSpecial: false, parseSpecial: false };

export interface CutDocument {
  readonly text: string;
  readonly ids: Int32Array;
}

/** The beginning of a document that has no more than `most` tokens. */
export async function cutTo(ranker: LoadedRanker, { text, cut }: Beginning, most: number): Promise<Beginning> {
  const encode = async (beginning: string) => (await ranker.encode([beginning], PLAIN))[0] as Int32Array;
  const { length } = await encode(text);
  if (length <= most) return { text, cut };
  const beginning = await cutToFit(ranker, text, length, most, encode);
  return { text: beginning?.text ?? "", cut: true };
}

/**
 * The longest beginning of a document of which `encode` makes no more than `limit` tokens, if any; of the whole it makes
 * `tokens`. Cutting can change how its last word tokenizes.
 */
export async function cutToFit(
  ranker: LoadedRanker,
  document: string,
  tokens: number,
  limit: number,
  encode: (document: string) => Promise<Int32Array>,
): Promise<CutDocument | undefined> {
  const [pieces = new Int32Array()] = await ranker.encode([document], PLAIN);
  let over = tokens - limit;
  for (let kept = pieces.length - over; kept > 0; kept -= Math.max(1, over)) {
    // half a character is left where its bytes were two tokens
    const text = (await ranker.detokenize(pieces.slice(0, kept))).replace(/\uFFFD+$/, "");
    const ids = await encode(text);
    if (ids.length <= limit) return { text, ids };
    over = ids.length - limit;
  }
  return undefined;
}
