/** The results of runs in Markdown: method, size, bits per weight, quality with its errors; one block of rows per model. */

import type { RunRow } from "../../run/run-document.ts";
import { shownLabel } from "../../run/shown-label.ts";
import { type RunShown, runColumns, shownOf, sortRows } from "../run-columns.ts";
import { type CardGroup, type GroupRow, groupRows, INNER_KINDS, sizeName } from "./card-groups.ts";
import { type CardModel, planRow, publishedRow } from "./card-model.ts";
import { type MarkdownColumn, markdownTable, text } from "./markdown.ts";

/** Of a card of several files: those that a reader chooses between, or the controls of their inner workings. */
export type RowsShown = "all" | "outer" | "inner";

/** The rows that a table of these models has, sorted. */
export function resultRows(group: CardGroup, shown: RowsShown): GroupRow[] {
  const hasControls = ({ run }: CardModel) => run.rows.some(({ kind }) => INNER_KINDS.includes(kind));
  const rows = groupRows(group).filter(({ row: { kind }, model }) => {
    if (shown === "all") return true;
    if (shown === "outer") return !INNER_KINDS.includes(kind);
    return INNER_KINDS.includes(kind) || (kind === "plan" && hasControls(model));
  });
  const owners = new Map(rows.map(({ row, model }) => [row, model]));
  return sortRows([...owners.keys()]).map((row) => ({ row, model: owners.get(row) as CardModel }));
}

/** Those without figures are left out below. */
const EVERY_COLUMN: RunShown = {
  ...{ scored: true, ranked: true, embedded: true, timed: true },
  ...{ ofKinds: true, cached: true },
};

/** Render the table: each model has its rows. */
export function renderResults(groups: readonly CardGroup[], rowsShown: RowsShown): string {
  const named = groups.length > 1;
  const blocks = groups.map((group) => ({ group, rows: resultRows(group, rowsShown) }));
  const all = blocks.flatMap(({ rows }) => rows.map(({ row }) => row));
  const shown = shownOf(all);
  // the plan against a row is said of one plan
  const isOnePlan = groups.every(({ models }) => models.length === 1);
  const columns = runColumns("card", EVERY_COLUMN).filter(
    (column) =>
      (isOnePlan || !column.isText) && all.some((row) => row.kind !== "reference" && column.text(row, "card", shown)),
  );
  const lines = blocks.flatMap(({ group, rows }) =>
    rows.map(({ row, model }, index) => [
      ...(named ? [index === 0 ? `**${text(group.name)}**` : ""] : []),
      method(row, model, group),
      ...columns.map((column) => bold(row, model, text(column.text(row, "card", shownOf(model.run.rows)) || "–"))),
    ]),
  );
  const heads: MarkdownColumn[] = [...(named ? [{ header: "Model" }] : []), { header: "Method" }];
  return markdownTable(
    [...heads, ...columns.map(({ headers, isText }) => ({ header: text(headers.card ?? ""), right: !isText }))],
    lines,
  );
}

/** With an importance matrix every row that was quantized here had it, unless its label says otherwise. */
function method(row: RunRow, model: CardModel, group: CardGroup): string {
  const { run, plan } = model;
  const suffix = plan.imatrix !== undefined && !["reference", "plain", "rival"].includes(row.kind) ? " (imatrix)" : "";
  const size = group.models.length === 1 ? "" : ` ${sizeName({ run, plan })}`;
  if (row === planRow(run)) return own(row, run, `PRISM${size}${suffix}`);
  if (row.kind === "feedback") return own(row, run, `PRISM${size}, error feedback${suffix}`);
  const of = INNER_KINDS.includes(row.kind) && row.kind !== "plain" ? size : "";
  return text(
    row.kind === "reference" ? `source (${row.label})` : `${shownLabel(row.label)}${of && ` of${of}`}${suffix}`,
  );
}

function own(row: RunRow, run: CardModel["run"], name: string): string {
  return row === publishedRow(run) ? `**${name}**` : name;
}

function bold(row: RunRow, { run }: CardModel, cell: string): string {
  return row === publishedRow(run) && cell !== "–" ? `**${cell}**` : cell;
}
