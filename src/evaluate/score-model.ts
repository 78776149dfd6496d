/** One loaded model over the chunks of a text → its row of the Evaluation. */
import { basename } from "node:path";
import type { Bench } from "../bench.ts";
import type { EvaluationTokens, LoadedModel, ScoreOptions, TokenScores } from "../engine/engine.ts";
import type { OpenModel } from "../gguf/model.ts";
import { present } from "../present.ts";
import { checkFigures } from "./check-figures.ts";
import { type MeanSe, MODEL_EVALUATION, type ModelEvaluation, type Nearness } from "./evaluation.ts";
import { chunkMeans, concatScores, lnPplRatio, perplexity, summarizeKld, summarizeSameTop } from "./statistics.ts";

export interface ScoredModel {
  readonly evaluation: ModelEvaluation;
  /** The reference's perplexity on the same tokens. */
  readonly referencePpl?: MeanSe | undefined;
}

/** What a row says of the file itself. */
export type JudgedFile = Pick<OpenModel, "path" | "fileBytes" | "bpw">;

export async function scoreModel(
  file: JudgedFile,
  model: LoadedModel,
  tokens: EvaluationTokens,
  reference: ScoreOptions["reference"],
  bench: Bench,
): Promise<ScoredModel> {
  const start = performance.now();
  const scores = await scoreChunks(model, tokens, tokens.chunks, reference, `evaluating ${basename(file.path)}`, bench);
  return reduceScores(file, scores, { chunks: tokens.chunks, elapsedMs: Math.round(performance.now() - start) });
}

/** The scores of all chunks, in their order, whoever measured them → the row. Throws FormatError as checkFigures does. */
export function reduceScores(
  { path, fileBytes, bpw }: JudgedFile,
  scores: TokenScores,
  { chunks, elapsedMs }: Pick<ModelEvaluation, "chunks" | "elapsedMs">,
): ScoredModel {
  const { nll, referenceNll, kld } = scores;
  const evaluation: ModelEvaluation = {
    path,
    fileBytes,
    bpw,
    ...nearness(scores),
    chunks,
    tokens: nll.length,
    perChunk: {
      ...present({ kld: kld && chunkMeans(kld, chunks) }),
      nll: chunkMeans(nll, chunks),
    },
    elapsedMs,
  };
  return {
    evaluation: checkFigures(path, MODEL_EVALUATION, evaluation),
    referencePpl: referenceNll && perplexity(referenceNll),
  };
}

/** The figures of scored tokens. */
export function nearness({ nll, referenceNll, kld, sameTop }: TokenScores): Nearness {
  const compared = kld !== undefined && referenceNll !== undefined && sameTop !== undefined;
  return {
    ppl: perplexity(nll),
    ...(compared
      ? { lnPplRatio: lnPplRatio(nll, referenceNll), kld: summarizeKld(kld), ...summarizeSameTop(sameTop) }
      : {}),
  };
}

/** Score the first `chunks` chunks, as many at a time as the engine decodes together. */
export async function scoreChunks(
  model: LoadedModel,
  tokens: EvaluationTokens,
  chunks: number,
  reference: ScoreOptions["reference"],
  what: string,
  { signal, progress }: Bench,
): Promise<TokenScores> {
  const parts: TokenScores[] = [];
  for (let first = 0; first < chunks; first += model.chunksPerBatch) {
    const count = Math.min(model.chunksPerBatch, chunks - first);
    parts.push(await model.score({ tokens, first, count, reference, signal }));
    progress.steps(what, first + count, chunks);
  }
  return concatScores(parts);
}
