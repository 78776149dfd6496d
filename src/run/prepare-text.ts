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
import { describeEstimate, estimateRun } from "./estimate.ts";
import type { OpenRun } from "./open-run.ts";
import type { RunSource } from "./run-source.ts";

/**
 * Tokenize the text with the run's model, time one batch, and say how long the run will take. Throws UsageError for a
 * text of fewer than two contexts, or one to calibrate on that leaves nothing to judge by, FormatError for one that is
 * not UTF-8. The programs engine can't be asked; its llama-perplexity refuses a short text by itself. Throws FormatError
 * for a causal reranker without a token "yes" or "no".
 */
export async function prepareText({ request, source, bench }: OpenRun): Promise<void> {
  const { model, measures } = source;
  if (measures.rerank) await checkScorer(request, source, bench);
  if (measures.embeddings) await checkEmbedder(request, source, bench);
  const { calibration, context: asked } = request;
  if (source.feedback) await checkCalibration(model, { calibration, context: asked }, bench);
  if (bench.engine.programs !== undefined || !measures.text) return;
  const context = chooseContext(request.context, model.facts.contextTrain);
  const loaded = await loadModel(model.path, { context }, bench);
  try {
    if (request.text !== undefined) await readText(loaded, request.text, context, request.chunks);
    const chunkMs = await timeChunk(loaded, plainTokens(loaded, context));
    const { threads } = bench;
    const besides = request.refine === "none" ? "" : "; probes besides";
    const { weights, imatrix, imatrixToMake } = source;
    const makesImatrix = imatrixToMake !== undefined;
    const weighted = makesImatrix || imatrix !== undefined;
    const estimate = estimateRun({
      ...{ ...request, weights, makesImatrix, weighted, threads, context, chunkMs },
      makesFeedback: source.feedback,
    });
    bench.progress.note(`${describeEstimate(estimate)}${besides}`);
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
