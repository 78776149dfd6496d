/** How long a chunk takes, from a short decode of the model: known before anything is copied or sampled. */
import type { Bench } from "../bench.ts";
import { loadModel } from "../evaluate/load-model.ts";
import type { OpenModel } from "../gguf/model.ts";
import type { Meter } from "./meter.ts";

/** Tokens decoded for the estimate. */
const TIMED_TOKENS = 64;

/** Milliseconds to score a chunk of `context` tokens: load the model as it lies and decode a little. */
export async function timeChunks(
  source: OpenModel,
  { context, meter }: { readonly context: number; readonly meter: Meter },
  bench: Bench,
): Promise<number> {
  const loaded = await loadModel(source.path, { context: TIMED_TOKENS }, bench);
  try {
    const ids = Int32Array.from({ length: TIMED_TOKENS }, (_, i) => i % loaded.vocabSize);
    const tokens = { context: TIMED_TOKENS, chunks: 1, ids };
    // the first reads the weights from disk
    await meter.decode(loaded, tokens);
    const started = performance.now();
    await meter.decode(loaded, tokens);
    return ((performance.now() - started) * context) / TIMED_TOKENS;
  } finally {
    await loaded.close();
  }
}
