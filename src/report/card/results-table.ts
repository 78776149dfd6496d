/** The results of runs in Markdown: method, size, bits per weight, quality with its errors; one block of rows per model. */

import type { RunRow } from "../../run/run-document.ts";
import { measuredRows } from "../charts/pareto.ts";
import { runColumns, shownOf, sortRows } from "../run-columns.ts";
import { type CardModel, cardName, planRow, publishedRow } from "./card-model.ts";
import { type MarkdownColumn, markdownTable, text } from "./markdown.ts";

/** Controls that explain a plan; a table of several models leaves them to its verdicts. */
const INNER_KINDS: readonly RunRow["kind"][] = ["plain", "shuffle", "uniform-s", "unguarded"];

/** The rows that a table of these models has. */
export function resultRows(models: readonly CardModel[]): RunRow[] {
  return models.flatMap((model) => rowsOf(model, models.length > 1));
}

function rowsOf({ run }: CardModel, family: boolean): RunRow[] {
  return sortRows(measuredRows(run)).filter(({ kind }) => !family || !INNER_KINDS.includes(kind));
}

/** Render the table of one run, or of the runs of a family, in which each model has its rows. */
export function renderResults(models: readonly CardModel[]): string {
  const family = models.length > 1;
  const blocks = models.map((model) => ({ model, rows: rowsOf(model, family) }));
  const all = resultRows(models);
  const shown = shownOf(all);
  const columns = runColumns("card", { scored: true, ranked: true, embedded: true, timed: true }).filter((column) =>
    all.some((row) => row.kind !== "reference" && column.text(row, "card", shown)),
  );
  const lines = blocks.flatMap(({ model, rows }) =>
    rows.map((row, index) => [
      ...(family ? [index === 0 ? `**${text(cardName(model))}**` : ""] : []),
      method(row, model),
      ...columns.map((column) => bold(row, model, text(column.text(row, "card", shownOf(model.run.rows)) || "–"))),
    ]),
  );
  const heads: MarkdownColumn[] = [...(family ? [{ header: "Model" }] : []), { header: "Method" }];
  return markdownTable(
    [...heads, ...columns.map(({ headers, isText }) => ({ header: text(headers.card ?? ""), right: !isText }))],
    lines,
  );
}

/** With an importance matrix every row that was quantized here had it, unless its label says otherwise. */
function method(row: RunRow, { run, plan }: CardModel): string {
  const suffix = plan.imatrix !== undefined && row.kind !== "reference" && row.kind !== "plain" ? " (imatrix)" : "";
  if (row === planRow(run)) return own(row, run, `PRISM${suffix}`);
  if (row.kind === "feedback") return own(row, run, `PRISM, error feedback${suffix}`);
  return text(row.kind === "reference" ? `source (${row.label})` : `${row.label}${suffix}`);
}

function own(row: RunRow, run: CardModel["run"], name: string): string {
  return row === publishedRow(run) ? `**${name}**` : name;
}

function bold(row: RunRow, { run }: CardModel, cell: string): string {
  return row === publishedRow(run) && cell !== "–" ? `**${cell}**` : cell;
}
