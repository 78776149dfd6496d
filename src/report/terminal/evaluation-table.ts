/** Evaluations and runs as text: one line per model, figures with their standard errors. */
import { baseName } from "../../base-name.ts";
import type { Evaluation, KldSummary, ModelEvaluation } from "../../evaluate/evaluation.ts";
import { formatInteger, formatSize } from "../../numbers.ts";
import { printable } from "../../plan/printable.ts";
import type { Refinement, Run, RunRow } from "../../run/run-document.ts";
import { formatMeanSe } from "./mean-se.ts";
import { renderSweep } from "./sweep-table.ts";
import { formatTable, wrapWords } from "./table.ts";

const WIDTH = 98;

function formatKld(kld: KldSummary | undefined): string {
  return kld === undefined ? "-" : formatMeanSe({ value: kld.mean, se: kld.se });
}

function formatPercentValue(value: number | undefined): string {
  return value === undefined ? "-" : `${value.toFixed(1)} %`;
}

/** Render an evaluation. Ends with a line break. */
export function renderEvaluation(evaluation: Evaluation): string {
  const compared = evaluation.models.some(({ kld }) => kld !== undefined);
  const table = formatTable(
    [
      { header: "model" },
      { header: "bytes", align: "right" },
      { header: "bpw", align: "right" },
      { header: "PPL", align: "right" },
      ...(compared
        ? [
            { header: "KLD (nats)", align: "right" as const },
            { header: "p99", align: "right" as const },
            { header: "same top", align: "right" as const },
          ]
        : []),
    ],
    evaluation.models.map((model) => evaluationCells(model, compared)),
  );
  const blocks = [textLine(evaluation.text), ...referenceLine(evaluation), table];
  return `${[...blocks, ...warningLines(evaluation.warnings)].join("\n")}\n`;
}

function evaluationCells(model: ModelEvaluation, compared: boolean): string[] {
  return [
    shownFile(model.path),
    formatInteger(model.fileBytes),
    model.bpw.toFixed(3),
    formatMeanSe(model.ppl),
    ...(compared
      ? [formatKld(model.kld), model.kld?.p99.toPrecision(3) ?? "-", formatPercentValue(model.sameTop)]
      : []),
  ];
}

function referenceLine({ reference }: Evaluation): string[] {
  if (reference === undefined) return [];
  return [`reference: ${shownFile(reference.path)}, PPL ${formatMeanSe(reference.ppl)}`];
}

/** What was scored, in a line. */
export function textLine(text: Evaluation["text"]): string {
  const source = text.source === "file" ? printable(text.path ?? "") : `sampled from the reference, seed ${text.seed}`;
  return `text: ${source}; ${text.chunks} chunks of ${text.context}${text.spread ? " spread over it" : ""}, ${formatInteger(text.tokens)} tokens scored`;
}

/** Render a run: the table of its rows and the verdict. Ends with a line break. */
export function renderRun(run: Run): string {
  const ranked = run.rows.some(({ rerank }) => rerank !== undefined);
  const scored = !ranked || run.rows.some(({ kld }) => kld !== undefined);
  const right = (header: string) => ({ header, align: "right" as const });
  const ranks = ["mean |Δ|", "max |Δ|", "τ", "same best", "nDCG@10"].map(right);
  const rows = sortRows(run.rows);
  const table = formatTable(
    [
      { header: "" },
      right("size"),
      right("bpw"),
      ...(scored ? [right("PPL"), right("KLD (nats)"), right("same top")] : ranks),
      { header: "plan against it" },
    ],
    rows.map((row) => runCells(row, scored, ranked)),
  );
  const ranking = formatTable(
    [{ header: "scores of documents" }, ...ranks],
    rows.map((row) => [rowName(row), ...rankingCells(row)]),
  );
  const lines = [
    ...(run.text === undefined ? [] : [textLine(run.text)]),
    ...refinementLines(run.refinement),
    table,
    ...(scored && ranked ? ["", ranking] : []),
  ];
  // a percent sign stays with its number
  if (run.verdict !== undefined) lines.push("", wrapWords(run.verdict.replaceAll(" %", "\u00a0%"), WIDTH));
  lines.push(...renderSweep(run));
  for (const { gate, value, met } of run.gates) {
    lines.push(
      `${met ? "met" : "MISSED"}: --require "${gate}"${value === undefined ? " (not measured)" : `, got ${Number(value.toPrecision(6))}`}`,
    );
  }
  return `${[...lines, ...warningLines(run.warnings)].join("\n")}\n`;
}

function refinementLines(refinement: Refinement | undefined): string[] {
  if (refinement === undefined) return [];
  const { probes, outcome, elapsedMs } = refinement;
  const line = `probes: ${probes.length} groups of tensors in ${Math.round(elapsedMs / 1000)} s; ${outcome}`;
  return [wrapWords(line.replaceAll(" %", "\u00a0%"), WIDTH)];
}

/** Reference first, then by size, the plan before a control of its size. */
export function sortRows(rows: readonly RunRow[]): RunRow[] {
  const rank = ({ kind }: RunRow) => (kind === "reference" ? 0 : kind === "plan" ? 1 : 2);
  return [...rows].sort((a, b) => {
    if (a.kind === "reference" || b.kind === "reference") return rank(a) - rank(b);
    return b.fileBytes - a.fileBytes || rank(a) - rank(b);
  });
}

function runCells(row: RunRow, scored: boolean, ranked: boolean): string[] {
  return [
    rowName(row),
    formatSize(row.fileBytes),
    row.bpw.toFixed(3),
    ...(scored
      ? [
          row.ppl === undefined ? "-" : formatMeanSe(row.ppl),
          row.kind === "reference" ? "0" : formatKld(row.kld),
          formatPercentValue(row.sameTop),
        ]
      : rankingCells(row)),
    row.kind === "plan" ? "" : `${row.verdict ?? ""}${ranked ? "" : formatChange(row)}`,
  ];
}

function rowName({ kind, label }: RunRow): string {
  return kind === "plan" ? "> plan" : `  ${kind === "reference" ? "reference" : printable(label)}`;
}

/** Mean and largest |Δscore|, τ, same best, nDCG@10. */
export function rankingCells({ kind, rerank }: RunRow): string[] {
  if (rerank === undefined) return [kind === "reference" ? "0" : "-", "-", "-", "-", "-"];
  const { meanAbsDelta, maxAbsDelta, kendallTau, top1Agreement, ndcg10 } = rerank;
  return [
    formatMeanSe(meanAbsDelta),
    maxAbsDelta.toPrecision(3),
    kendallTau?.value.toFixed(3) ?? "-",
    formatPercentValue(top1Agreement),
    ndcg10?.value.toFixed(3) ?? "-",
  ];
}

/** The row's KLD against the plan's: " (KLD +12 %)". */
export function formatChange({ kld, kldMinusPlan }: RunRow): string {
  const plan = kld === undefined || kldMinusPlan === undefined ? 0 : kld.mean - kldMinusPlan.value;
  if (kldMinusPlan === undefined || !(plan > 0)) return "";
  const percent = (100 * kldMinusPlan.value) / plan;
  return ` (KLD ${percent < 0 ? "" : "+"}${percent.toFixed(Math.abs(percent) < 10 ? 1 : 0)} %)`;
}

export function warningLines(warnings: readonly string[]): string[] {
  return warnings.map((warning) => wrapWords(`! ${printable(warning)}`, WIDTH));
}

export function shownFile(path: string): string {
  return printable(baseName(path));
}
