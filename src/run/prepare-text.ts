/**
 * The text of a run, the time it will take and whether its model can score documents or embed texts, before any work: the sessions that
 * score open only after hours of analysis and quantizing.
 */
import type { Bench } from "../bench.ts";
import { openEmbedder } from "../embed/embedder.ts";
import { readRetrievalSet } from "../embed/retrieval-set.ts";
import { plainTokens, timeChunk } from "../evaluate/clock.ts";
import { chooseContext } from "../evaluate/evaluate-options.ts";
import { loadModel } from "../evaluate/load-model.ts";
import { readText } from "../evaluate/text.ts";
import { checkCalibration } from "../feedback/check-calibration.ts";
import { openRerankScorer } from "../rerank/rerank-scorer.ts";
import { readRerankSet } from "../rerank/rerank-set.ts";
import { describeReranker } from "../rerank/reranker.ts";
import { refusePictures } from "../rerank/sight.ts";
import type { OpenRun } from "./open-run.ts";
import type { RunSource } from "./run-source.ts";

/**
 * Tokenize the text with the run's model, and time one batch: milliseconds of a chunk, where they can be had. Throws UsageError for a
 * text of fewer than two contexts, or one to calibrate on that leaves nothing to judge by, FormatError for one that is
 * not UTF-8. The programs engine can't be asked; its llama-perplexity refuses a short text by itself. Throws FormatError
 * for a causal reranker without a token "yes" or "no".
 */
export async function prepareText({
  request,
  source,
  bench,
}: Pick<OpenRun, "request" | "source" | "bench">): Promise<number | undefined> {
  const { model, measures } = source;
  if (measures.rerank) await checkScorer(request, source, bench);
  if (measures.embeddings) await checkEmbedder(request, source, bench);
  const { calibration, context: asked } = request;
  if (source.feedback) await checkCalibration(model, { calibration, context: asked }, bench);
  if (bench.engine.programs !== undefined || !measures.text) return undefined;
  const context = chooseContext(request.context, model.facts.contextTrain);
  const loaded = await loadModel(model.path, { context }, bench);
  try {
    if (request.text !== undefined) await readText(loaded, request.text, context, request.chunks);
    return await timeChunk(loaded, plainTokens(loaded, context));
  } finally {
    await loaded.close();
  }
}

async function checkEmbedder({ embedding }: OpenRun["request"], { model }: RunSource, bench: Bench): Promise<void> {
  await readRetrievalSet(embedding?.set);
  const embedder = await openEmbedder(model, { pooling: embedding?.pooling }, bench);
  await embedder.embed(["Does it embed?"]).finally(() => embedder.close());
}

async function checkScorer(
  { rerankSet, reading = {} }: OpenRun["request"],
  { model }: RunSource,
  bench: Bench,
): Promise<void> {
  await refusePictures(await readRerankSet(rerankSet), model.model, bench.engine.library);
  const scorer = await openRerankScorer(describeReranker(model.model), reading, bench);
  await scorer.close();
}
