/** The results of runs in Markdown: method, bits per weight, quality with its errors, size; one block of rows per model. */

import { formatSize } from "../../numbers.ts";
import type { RunRow } from "../../run/run-document.ts";
import { measuredRows } from "../charts/pareto.ts";
import { formatChange, sortRows } from "../terminal/evaluation-table.ts";
import { formatMeanSe } from "../terminal/mean-se.ts";
import { type CardModel, cardName, planRow } from "./card-model.ts";
import { type MarkdownColumn, markdownTable, text } from "./markdown.ts";

interface Field {
  readonly column: MarkdownColumn;
  readonly cell: (row: RunRow) => string | undefined;
}

const right = (header: string): MarkdownColumn => ({ header, right: true });

/** In the order of the columns; one without a value in any row is left out. */
const FIELDS: readonly Field[] = [
  { column: right("BPW"), cell: ({ bpw }) => bpw.toFixed(2) },
  { column: right("PPL"), cell: ({ ppl }) => ppl && formatMeanSe(ppl) },
  { column: right("KLD, nats"), cell: ({ kld }) => kld && formatMeanSe({ value: kld.mean, se: kld.se }) },
  {
    column: right("Same top token"),
    cell: ({ sameTop }) => (sameTop === undefined ? undefined : `${sameTop.toFixed(1)} %`),
  },
  { column: right("Mean \\|Δscore\\|"), cell: ({ rerank }) => rerank && formatMeanSe(rerank.meanAbsDelta) },
  { column: right("Kendall's τ"), cell: ({ rerank }) => rerank?.kendallTau && formatMeanSe(rerank.kendallTau) },
  { column: right("Same best document"), cell: ({ rerank }) => rerank && `${rerank.top1Agreement.toFixed(1)} %` },
  { column: right("Size"), cell: ({ fileBytes }) => formatSize(fileBytes) },
  {
    column: { header: "PRISM against it" },
    cell: (row) => (isOwn(row) || row.verdict === undefined ? undefined : text(`${row.verdict}${formatChange(row)}`)),
  },
];

/** Controls that explain a plan; a table of several models leaves them to its verdicts. */
const INNER_KINDS: readonly RunRow["kind"][] = ["shuffle", "uniform-s"];

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
  const fields = FIELDS.filter(({ cell }) => all.some((row) => cell(row) !== undefined));
  const lines = blocks.flatMap(({ model, rows }) =>
    rows.map((row, index) => [
      ...(family ? [index === 0 ? `**${text(cardName(model))}**` : ""] : []),
      method(row, model),
      ...fields.map(({ cell }) => bold(row, model, cell(row) ?? "–")),
    ]),
  );
  const heads: MarkdownColumn[] = [...(family ? [{ header: "Model" }] : []), { header: "Method" }];
  return markdownTable([...heads, ...fields.map(({ column }) => column)], lines);
}

/** With an importance matrix every row that was quantized here had it. */
function method(row: RunRow, { run, plan }: CardModel): string {
  const suffix = plan.imatrix !== undefined && row.kind !== "reference" ? " (imatrix)" : "";
  if (row === planRow(run)) return `**PRISM${suffix}**`;
  return text(row.kind === "reference" ? `source (${row.label})` : `${row.label}${suffix}`);
}

function bold(row: RunRow, { run }: CardModel, cell: string): string {
  return row === planRow(run) && cell !== "–" ? `**${cell}**` : cell;
}

function isOwn({ kind }: RunRow): boolean {
  return kind === "plan" || kind === "reference";
}
