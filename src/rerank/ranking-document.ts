/** The ranking in the text of an Evaluation document, checked: what a report shows of it. Documents may come from anyone. */
import { FormatError } from "../errors.ts";
import type { RerankEvaluation } from "../evaluate/evaluation.ts";
import { readEvaluation } from "../evaluate/read-evaluation.ts";
import type { RerankResult } from "../evaluate/rerank-result.ts";
import { present } from "../present.ts";

interface Ranked {
  readonly path: string;
  /** Absent: the reference. */
  readonly fileBytes?: number;
  readonly rerank: RerankResult;
}

export type Ranking = Pick<RerankEvaluation, "rerankSet"> & {
  readonly reference?: Ranked;
  readonly models: readonly Ranked[];
};

/** Read the ranking of an evaluation; undefined for one without. Throws FormatError for a damaged one. */
export function readRanking(text: string, path: string): Ranking | undefined {
  const evaluation = readEvaluation(text, path);
  if ("retrievalSet" in evaluation || evaluation.rerankSet === undefined) return undefined;
  const { rerankSet, reference, models } = evaluation;
  const wrong = (what: string) => new FormatError(path, `an evaluation, but damaged: ${what}; evaluate again`);
  const ranked = (
    model: { readonly path: string; readonly fileBytes?: number; readonly rerank?: RerankResult },
    where: string,
  ): Ranked => {
    const { rerank, fileBytes } = model;
    if (rerank === undefined) throw wrong(`${where}.rerank: expected an object, got nothing`);
    const { queries } = rerankSet;
    for (const [query, { documents }] of queries.entries()) {
      const scores = rerank.scores[query]?.length ?? 0;
      if (scores !== documents.length) {
        throw wrong(`${where}.rerank.scores[${query}]: expected ${documents.length} scores, got ${scores}`);
      }
    }
    return { path: model.path, ...present({ fileBytes }), rerank };
  };
  return {
    rerankSet,
    ...(reference && { reference: ranked(reference, "reference") }),
    models: models.map((model, index) => ranked(model, `models[${index}]`)),
  };
}
