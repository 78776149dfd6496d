/** The text of a run, before any work: the session that scores it opens only after hours of analysis and quantizing. */
import { chooseContext } from "../evaluate/evaluate-options.ts";
import { readText } from "../evaluate/text.ts";
import type { RunOptions } from "./run-options.ts";

/**
 * Tokenize the text with the run's model. Throws UsageError for one of fewer than two contexts, FormatError for one
 * that is not UTF-8. The programs engine can't be asked; its llama-perplexity refuses a short text by itself.
 */
export async function checkText(options: RunOptions, contextTrain: number): Promise<void> {
  const { engine, model, text, threads, signal } = options;
  if (text === undefined || engine.info.kind === "programs") return;
  const context = chooseContext(options.context, contextTrain);
  const loaded = await engine.load({
    model,
    context,
    threads,
    gpuLayers: 0,
    ...(signal === undefined ? {} : { signal }),
  });
  try {
    await readText(loaded, text, context, options.chunks);
  } finally {
    await loaded.close();
  }
}
