/** Scores of documents by format, for any medium: which queries to show, and which documents changed their place. */

import type { DocumentScore } from "../evaluate/rerank-result.ts";
import { rankOrder } from "../rerank/rank-statistics.ts";
import type { Ranking } from "../rerank/ranking-document.ts";

export type Ranked = Ranking["models"][number];

export interface ScoreTable {
  readonly query: string;
  /** In the order of the first model. */
  readonly documents: readonly { readonly text: string; readonly cells: readonly string[] }[];
}

/** The models of a ranking, the reference first. */
export function allRanked({ reference, models }: Ranking): Ranked[] {
  return [...(reference === undefined ? [] : [reference]), ...models];
}

/** The tables of `most` queries, those whose scores moved most first; ⤴ and ⤵ mark the documents that changed their place. */
export function scoreTables(ranking: Ranking, most: number): ScoreTable[] {
  const { queries } = ranking.rerankSet;
  const models = allRanked(ranking);
  const moved = (query: number) => Math.max(0, ...models.map(({ rerank }) => rerank.fidelity?.perQuery[query] ?? 0));
  const order = queries.map((_, query) => query).sort((a, b) => moved(b) - moved(a) || a - b);
  return order.slice(0, most).map((query) => scoreTable(queries[query], query, models));
}

function scoreTable(
  query: Ranking["rerankSet"]["queries"][number] | undefined,
  index: number,
  models: readonly Ranked[],
): ScoreTable {
  const scores = models.map(({ rerank }) => rerank.scores[index] ?? []);
  const places = scores.map(placesOf);
  const first = rankOrder((scores[0] ?? []).map(({ score }) => score));
  return {
    query: query?.query ?? "",
    documents: first.map((document) => ({
      text: query?.documents[document] ?? "",
      cells: scores.map((row, model) => {
        const score = row[document]?.score;
        const before = places[0]?.[document] ?? 0;
        const now = places[model]?.[document] ?? 0;
        return `${score === undefined ? "-" : formatScore(score)}${now < before ? " ⤴" : now > before ? " ⤵" : "  "}`;
      }),
    })),
  };
}

function placesOf(scores: readonly DocumentScore[]): number[] {
  const places: number[] = [];
  rankOrder(scores.map(({ score }) => score)).forEach((document, place) => {
    places[document] = place;
  });
  return places;
}

/** Four digits after the point, or the magnitude of what is smaller. */
function formatScore(score: number): string {
  return score !== 0 && Math.abs(score) < 1e-4 ? score.toExponential(1) : score.toFixed(4);
}
