/**
 * Drift of a model's vectors from its reference's, over pieces of text as long as what people embed: 1 − cosine, piece by
 * piece, each between the tokens that the model puts around a text.
 */
import type { EvaluationTokens, LoadedModel } from "../engine/engine.ts";
import { drift } from "../evaluate/drift.ts";
import type { EmbeddingPooling } from "../ggml/model-facts.ts";
import type { Meter } from "./meter.ts";

/** Tokens of a piece: a sentence or three, as queries and passages are. */
const PIECE_TOKENS = 64;

export function driftMeter(pooling: EmbeddingPooling): Meter {
  const embed = async (model: LoadedModel, tokens: EvaluationTokens, first: number, count: number) => {
    const prompts: Int32Array[] = [];
    for (let chunk = first; chunk < first + count; chunk++) prompts.push(...piecesOf(model, tokens, chunk));
    return model.pool(prompts, { pooling });
  };
  return {
    unit: "drift",
    async refer(loaded, tokens) {
      const kept: Float32Array[][] = [];
      for (let chunk = 0; chunk < tokens.chunks; chunk++) kept.push(await embed(loaded, tokens, chunk, 1));
      return {
        isKept: true,
        async measure(model, { first, count }, signal) {
          signal?.throwIfAborted();
          const vectors = await embed(model, tokens, first, count);
          const reference = kept.slice(first, first + count).flat();
          return Float64Array.from(vectors, (vector, index) => drift(vector, reference[index] as Float32Array));
        },
      };
    },
    decode: (loaded, tokens) => embed(loaded, tokens, 0, 1),
  };
}

/** Whole pieces of a chunk; of a shorter one, all of it. */
function piecesOf({ joints }: LoadedModel, { context, ids }: EvaluationTokens, chunk: number): Int32Array[] {
  const own = ids.subarray(chunk * context, (chunk + 1) * context);
  const length = Math.min(PIECE_TOKENS, context);
  const { bos, eos, sep } = joints;
  const head = bos === undefined ? [] : [bos];
  const tail = [eos ?? sep].filter((id) => id !== undefined);
  const pieces: Int32Array[] = [];
  for (let start = 0; start + length <= own.length; start += length) {
    pieces.push(Int32Array.from([...head, ...own.subarray(start, start + length), ...tail]));
  }
  return pieces;
}
