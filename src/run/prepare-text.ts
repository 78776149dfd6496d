/**
 * The text of a run, the time it will take and whether its model can score documents, before any work: the sessions that
 * score open only after hours of analysis and quantizing.
 */
import type { EvaluationTokens, LoadedModel } from "../engine/engine.ts";
import { chooseContext } from "../evaluate/evaluate-options.ts";
import { readText } from "../evaluate/text.ts";
import { openLocalModel } from "../gguf/open.ts";
import { openRerankScorer } from "../rerank/rerank-scorer.ts";
import { describeReranker } from "../rerank/reranker.ts";
import { describeEstimate, estimateRun } from "./estimate.ts";
import type { RunOptions } from "./run-options.ts";
import type { RunSource } from "./run-source.ts";

/**
 * Tokenize the text with the run's model, time one batch, and say how long the run will take. Throws UsageError for a
 * text of fewer than two contexts, FormatError for one that is not UTF-8. The programs engine can't be asked; its
 * llama-perplexity refuses a short text by itself. Throws FormatError for a causal reranker without a token "yes" or "no".
 */
export async function prepareText(options: RunOptions, source: RunSource): Promise<void> {
  const { engine, model, text, threads, signal } = options;
  if (source.measures.rerank) await checkScorer(options);
  if (engine.info.kind === "programs" || !source.measures.text) return;
  const context = chooseContext(options.context, source.contextTrain);
  const loaded = await engine.load({
    model,
    context,
    threads,
    gpuLayers: options.gpuLayers,
    ...(signal === undefined ? {} : { signal }),
  });
  try {
    if (text !== undefined) await readText(loaded, text, context, options.chunks);
    const chunkMs = await timeChunk(loaded, context);
    const besides = options.refine === undefined ? "" : "; probes besides";
    options.onStage?.(`${describeEstimate(estimateRun({ ...options, ...source, context, chunkMs }))}${besides}`);
  } finally {
    await loaded.close();
  }
}

async function checkScorer({ engine, model, threads, gpuLayers, signal }: RunOptions): Promise<void> {
  const file = await openLocalModel(model);
  await file.close();
  const reranker = describeReranker(file.model);
  const scorer = await openRerankScorer({
    engine,
    reranker,
    threads,
    gpuLayers,
    ...(signal === undefined ? {} : { signal }),
  });
  await scorer.close();
}

/** Milliseconds for a chunk, from one batch of a token that every vocabulary has. */
async function timeChunk(loaded: LoadedModel, context: number): Promise<number> {
  const chunks = loaded.chunksPerBatch;
  const tokens: EvaluationTokens = { context, chunks, ids: new Int32Array(chunks * context) };
  const started = performance.now();
  await loaded.score({ tokens, first: 0, count: chunks });
  return (performance.now() - started) / chunks;
}
