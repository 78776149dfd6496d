/** Tables of a report as HTML. */

import type { Ranking } from "../../rerank/ranking-document.ts";
import type { RunRow } from "../../run/run-document.ts";
import { shownLabel } from "../../run/shown-label.ts";
import { type MeasuredRun, measuredRows } from "../charts/pareto.ts";
import { type ChartTable, showCell, showName, type TableColumn } from "../charts/table.ts";
import { type RunColumn, type RunShown, runColumns, shownOf, sortRows } from "../run-columns.ts";
import { allRanked, scoreTables } from "../score-tables.ts";
import { formatName } from "../terminal/rerank-table.ts";
import { html, type Markup } from "./markup.ts";

/** Rows of a table before the rest is left to the documents: a page is not a database. */
const MOST_ROWS = 2000;

/** A table with a caption, in a frame that scrolls sideways. */
export function renderTable({ columns, rows }: ChartTable, caption: string): Markup {
  const left = rows.length - MOST_ROWS;
  return html`<div class="wide"><div class="scroll" role="region" aria-label="${caption}, table" tabindex="0"><table>
<caption>${caption}${left > 0 ? ` (the first ${MOST_ROWS} of ${rows.length} rows)` : ""}</caption>
<thead><tr>${columns.map((column) => html`<th scope="col"${alignment(column)}>${column.header}</th>`)}</tr></thead>
<tbody>${rows.slice(0, MOST_ROWS).map((row) => html`<tr>${row.map((value, index) => renderCell(columns[index], value, index))}</tr>`)}</tbody>
</table></div></div>`;
}

function alignment({ kind = "text" }: TableColumn): Markup | undefined {
  return numeric(kind === "text");
}

function renderCell(column: TableColumn = { header: "" }, value: string | number | undefined, index: number): Markup {
  const text = showCell(column, value);
  return index === 0 ? html`<th scope="row">${text}</th>` : html`<td${alignment(column)}>${text}</td>`;
}

/** Queries whose scores a report shows; the evaluations of the run have all of them. */
const SHOWN_QUERIES = 12;

/** The rows of a run and the points of its sweep: what each costs, how good it is, and the plan against it. */
export function renderRunTable(run: MeasuredRun): Markup {
  const rows = measuredRows(run);
  const shown = shownOf(rows);
  const { scored, ranked, embedded } = shown;
  const columns = runColumns("page", shown);
  const judged = [
    ...(scored ? ["text"] : []),
    ...(ranked ? ["documents"] : []),
    ...(embedded ? ["texts to embed"] : []),
  ].join(" and ");
  return html`<div class="wide"><div class="scroll" role="region" aria-label="Results, table" tabindex="0"><table class="results">
<caption>Every model of the run on the same ${judged}, ± one standard error.${run.family?.plan === undefined ? "" : ` The controls, and the last column, are of ${showName(run.family.plan)}.`}</caption>
<thead><tr><th scope="col">model</th>${columns.map(({ headers, isText }) => html`<th scope="col"${numeric(isText)}>${headers.page}</th>`)}</tr></thead>
<tbody>${sortRows(rows).map((row) => renderRunRow(row, columns, shown))}</tbody>
</table></div></div>`;
}

function renderRunRow(row: RunRow, columns: readonly RunColumn[], shown: RunShown): Markup {
  const { kind, label } = row;
  const cells = columns.map(({ text, isText }) => html`<td${numeric(isText)}>${text(row, "page", shown) ?? "–"}</td>`);
  return html`<tr class="${kind}"><th scope="row">${showName(shownLabel(label))}${kind === "reference" ? html` <small>source</small>` : undefined}</th>${cells}</tr>`;
}

function numeric(isText = false): Markup | undefined {
  return isText ? undefined : html` class="number"`;
}

/** The scores of documents by format, a table for each of the queries that moved most. */
export function renderScores(ranking: Ranking): Markup {
  const { queries } = ranking.rerankSet;
  const columns: TableColumn[] = [
    { header: "document" },
    ...allRanked(ranking).map(({ path }): TableColumn => ({ header: showName(formatName(path)), kind: "number" })),
  ];
  const tables = scoreTables(ranking, SHOWN_QUERIES).map(({ query, documents }) =>
    renderTable({ columns, rows: documents.map(({ text, cells }) => [text, ...cells]) }, showName(query, 200)),
  );
  const which =
    queries.length > tables.length
      ? `the ${tables.length} queries that moved most, of ${queries.length}`
      : "every query";
  return html`<section id="scores" aria-labelledby="scores-title"><h2 id="scores-title">Scores of documents</h2>
<p class="lead">What each file answers to ${which}. ⤴ and ⤵ mark documents that rank higher or lower than with the source.</p>
${tables}</section>`;
}
