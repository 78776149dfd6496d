/** Tables of a report as HTML. */
import type { Run, RunRow } from "../../loop/run-document.ts";
import { type ChartTable, showCell, showName, type TableColumn } from "../charts/table.ts";
import { formatChange, sortRows } from "../terminal/evaluation-table.ts";
import { formatMeanSe } from "../terminal/mean-se.ts";
import { formatInteger } from "../terminal/numbers.ts";
import { html, type Markup } from "./markup.ts";

/** Rows of a table before the rest is left to the documents: a page is not a database. */
const MOST_ROWS = 2000;

/** A table with a caption, in a frame that scrolls sideways. */
export function renderTable({ columns, rows }: ChartTable, caption: string): Markup {
  const left = rows.length - MOST_ROWS;
  return html`<div class="scroll" role="region" aria-label="${caption}, table" tabindex="0"><table>
<caption>${caption}${left > 0 ? ` (the first ${MOST_ROWS} of ${rows.length} rows)` : ""}</caption>
<thead><tr>${columns.map((column) => html`<th scope="col"${alignment(column)}>${column.header}</th>`)}</tr></thead>
<tbody>${rows.slice(0, MOST_ROWS).map((row) => html`<tr>${row.map((value, index) => renderCell(columns[index], value, index))}</tr>`)}</tbody>
</table></div>`;
}

function alignment({ kind = "text" }: TableColumn): Markup | undefined {
  return kind === "text" ? undefined : html` class="number"`;
}

function renderCell(column: TableColumn = { header: "" }, value: string | number | undefined, index: number): Markup {
  const text = showCell(column, value);
  return index === 0 ? html`<th scope="row">${text}</th>` : html`<td${alignment(column)}>${text}</td>`;
}

/** The rows of a run: what each costs, how good it is, and the plan against it. */
export function renderRunTable({ rows }: Pick<Run, "rows">): Markup {
  const headers = ["size, bytes", "bpw", "perplexity", "KLD, nats", "KLD p99", "same top"];
  return html`<div class="scroll" role="region" aria-label="Results, table" tabindex="0"><table class="results">
<caption>Every model of the run on the same text, ± one standard error.</caption>
<thead><tr><th scope="col">model</th>${headers.map((header) => html`<th scope="col" class="number">${header}</th>`)}<th scope="col">the plan against it</th></tr></thead>
<tbody>${sortRows(rows).map(renderRunRow)}</tbody>
</table></div>`;
}

function renderRunRow(row: RunRow): Markup {
  const { kind, kld } = row;
  const against = kind === "plan" || kind === "reference" ? "" : `${row.verdict ?? ""}${formatChange(row)}`;
  const cells = [
    formatInteger(row.fileBytes),
    row.bpw.toFixed(3),
    row.ppl ? formatMeanSe(row.ppl) : "–",
    kld ? formatMeanSe({ value: kld.mean, se: kld.se }) : "–",
    kld ? kld.p99.toPrecision(3) : "–",
    row.sameTop === undefined ? "–" : `${row.sameTop.toFixed(1)} %`,
  ];
  return html`<tr class="${kind}"><th scope="row">${showName(row.label)}${kind === "reference" ? html` <small>source</small>` : undefined}</th>${cells.map((cell) => html`<td class="number">${cell}</td>`)}<td>${against}</td></tr>`;
}
