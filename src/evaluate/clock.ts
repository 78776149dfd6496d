/** The one clock that estimates go by: how long a loaded model takes for a chunk. */
import type { EvaluationTokens, LoadedModel } from "../engine/engine.ts";

/** Milliseconds for a chunk of these tokens, from one batch of them. */
export async function timeChunk(loaded: LoadedModel, tokens: EvaluationTokens): Promise<number> {
  const count = Math.min(loaded.chunksPerBatch, tokens.chunks);
  const started = performance.now();
  await loaded.score({ tokens, first: 0, count });
  return (performance.now() - started) / count;
}

/** Tokens that every vocabulary has, as many chunks as are decoded together. */
export function plainTokens({ chunksPerBatch: chunks }: LoadedModel, context: number): EvaluationTokens {
  return { context, chunks, ids: new Int32Array(chunks * context) };
}
