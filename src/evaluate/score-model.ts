/** One loaded model over the chunks of a text → its row of the Evaluation. */
import type { EvaluationTokens, LoadedModel, ScoreOptions, TokenScores } from "../engine/engine.ts";
import type { ModelDescription } from "./describe-model.ts";
import type { MeanSe, ModelEvaluation } from "./evaluation.ts";
import { chunkMeans, concatScores, lnPplRatio, perplexity, summarizeKld, summarizeSameTop } from "./statistics.ts";

export interface ScoredModel {
  readonly evaluation: ModelEvaluation;
  /** The reference's perplexity on the same tokens. */
  readonly referencePpl?: MeanSe;
}

export interface ScoreProgress {
  readonly signal?: AbortSignal;
  readonly onProgress?: (what: string, done: number, total: number) => void;
}

export async function scoreModel(
  path: string,
  model: LoadedModel,
  tokens: EvaluationTokens,
  reference: ScoreOptions["reference"],
  progress: ScoreProgress,
  description: ModelDescription,
): Promise<ScoredModel> {
  const start = performance.now();
  const scores = await scoreChunks(model, tokens, tokens.chunks, reference, progress, path);
  const { nll, referenceNll, kld, sameTop } = scores;
  const { fileBytes, bpw } = description;
  const compared = kld !== undefined && referenceNll !== undefined && sameTop !== undefined;
  const evaluation: ModelEvaluation = {
    path,
    fileBytes,
    bpw,
    ppl: perplexity(nll),
    ...(compared
      ? { lnPplRatio: lnPplRatio(nll, referenceNll), kld: summarizeKld(kld), ...summarizeSameTop(sameTop) }
      : {}),
    chunks: tokens.chunks,
    tokens: nll.length,
    perChunk: {
      ...(kld === undefined ? {} : { kld: chunkMeans(kld, tokens.chunks) }),
      nll: chunkMeans(nll, tokens.chunks),
    },
    elapsedMs: Math.round(performance.now() - start),
  };
  return { evaluation, ...(referenceNll === undefined ? {} : { referencePpl: perplexity(referenceNll) }) };
}

/** Score the first `chunks` chunks, as many at a time as the engine decodes together. */
export async function scoreChunks(
  model: LoadedModel,
  tokens: EvaluationTokens,
  chunks: number,
  reference: ScoreOptions["reference"],
  progress: ScoreProgress,
  what: string,
): Promise<TokenScores> {
  const parts: TokenScores[] = [];
  for (let first = 0; first < chunks; first += model.chunksPerBatch) {
    const count = Math.min(model.chunksPerBatch, chunks - first);
    parts.push(
      await model.score({
        tokens,
        first,
        count,
        ...(reference === undefined ? {} : { reference }),
        ...(progress.signal === undefined ? {} : { signal: progress.signal }),
      }),
    );
    progress.onProgress?.(what, first + count, chunks);
  }
  return concatScores(parts);
}
