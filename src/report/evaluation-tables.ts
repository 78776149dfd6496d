/** An evaluation as the table that a spreadsheet gets: scores of documents by file, or figures, a row for each file. */
import type { EmbeddedModel, ModelEvaluation } from "../evaluate/evaluation.ts";
import type { Ranking } from "../rerank/ranking-document.ts";
import type { ChartTable, TableColumn } from "./charts/table.ts";
import { allRanked } from "./score-tables.ts";
import { shownFile } from "./terminal/evaluation-table.ts";

const number = (header: string): TableColumn => ({ header, kind: "number" });

/** Scores, a row for each document of each query. */
export function scoresTable(ranking: Ranking): ChartTable {
  const models = allRanked(ranking);
  return {
    columns: [{ header: "query" }, { header: "document" }, ...models.map(({ path }) => number(shownFile(path)))],
    rows: ranking.rerankSet.queries.flatMap(({ query, documents }, at) =>
      documents.map((document, index) => [
        query,
        document,
        ...models.map(({ rerank }) => rerank.scores[at]?.[index]?.score),
      ]),
    ),
  };
}

export function figuresTable(models: readonly ModelEvaluation[]): ChartTable {
  const headers = ["ppl", "ppl se", "ln ppl ratio", "ln ppl ratio se", "kld mean", "kld se", "kld p99", "same top %"];
  return {
    columns: [{ header: "model" }, { header: "file bytes", kind: "bytes" }, number("bpw"), ...headers.map(number)],
    rows: models.map(({ path, fileBytes, bpw, ppl, lnPplRatio, kld, sameTop }) => [
      ...[shownFile(path), fileBytes, bpw, ppl.value, ppl.se, lnPplRatio?.value, lnPplRatio?.se],
      ...[kld?.mean, kld?.se, kld?.p99, sameTop],
    ]),
  };
}

export function driftTable(models: readonly EmbeddedModel[]): ChartTable {
  const headers = ["drift", "drift se", "worst drift", "overlap@10 %", "same best document %", "nDCG@10"];
  return {
    columns: [{ header: "model" }, { header: "file bytes", kind: "bytes" }, number("bpw"), ...headers.map(number)],
    rows: models.map(({ path, fileBytes, bpw, embedding: { fidelity, ndcg10 } }) => [
      ...[shownFile(path), fileBytes, bpw, fidelity?.drift.value, fidelity?.drift.se, fidelity?.worstDrift],
      ...[fidelity?.overlap10, fidelity?.top1Agreement, ndcg10?.value],
    ]),
  };
}
