/** Evaluations and runs as text: one line per model, figures with their standard errors. */
import { baseName } from "../../base-name.ts";
import type { Evaluation, KldSummary, ModelEvaluation } from "../../evaluate/evaluation.ts";
import { formatInteger } from "../../numbers.ts";
import { printable } from "../../plan/printable.ts";
import type { Refinement, Run, RunRow, Swaps } from "../../run/run-document.ts";
import { type RunColumn, type RunShown, runColumns, shownOf, sortRows } from "../run-columns.ts";
import { stoppedInWords } from "../stopped-words.ts";
import { renderFamily } from "./family-table.ts";
import { gateLines } from "./gate-lines.ts";
import { formatMeanSe } from "./mean-se.ts";
import { speedLines } from "./speed-table.ts";
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
  const { reference, models } = evaluation;
  const timed = [...(reference === undefined ? [] : [reference]), ...models];
  const speeds = speedLines(timed.map(({ path, speed }) => ({ name: shownFile(path), speed })));
  const blocks = [textLine(evaluation.text), ...referenceLine(evaluation), table, ...speeds];
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
  const shown = shownOf(run.rows);
  const both = shown.scored && shown.ranked;
  const rows = sortRows(run.rows);
  const results = runColumns("terminal", both ? { ...shown, ranked: false } : shown);
  const ranking = runColumns("terminal", { scored: false, ranked: true, embedded: false }).filter(
    ({ group }) => group === "documents",
  );
  const table = runTable("", results, rows, shown);
  const lines = [
    ...(run.text === undefined ? [] : [textLine(run.text)]),
    ...refinementLines(run.refinement),
    ...swapLines(run.swaps),
    ...(rows.length === 0 ? [] : [table]),
    ...(both ? ["", runTable("scores of documents", ranking, rows, shown)] : []),
  ];
  lines.push(...speedLines(rows.map((row) => ({ name: rowName(row), speed: row.speed }))));
  // a percent sign stays with its number
  if (run.verdict !== undefined) lines.push("", wrapWords(run.verdict.replaceAll(" %", "\u00a0%"), WIDTH));
  lines.push(...renderFamily(run), ...renderSweep(run));
  lines.push(...gateLines(run.gates), ...stoppedLines(run));
  return `${[...lines, ...warningLines(run.warnings)].join("\n")}\n`;
}

function stoppedLines(run: Run): string[] {
  const stopped = stoppedInWords(run);
  return stopped === undefined ? [] : ["", wrapWords(stopped, WIDTH)];
}

function refinementLines(refinement: Refinement | undefined): string[] {
  if (refinement === undefined) return [];
  const { probes, decoded, outcome, elapsedMs, regret } = refinement;
  const chunks = decoded === undefined ? "" : ` on ${decoded} chunks`;
  const open =
    regret === undefined
      ? ""
      : `; knowing all densities would save about ${(100 * regret).toPrecision(2)} % of its loss`;
  const line = `probes: ${probes.length} groups of tensors${chunks} in ${Math.round(elapsedMs / 1000)} s; ${outcome}${open}`;
  return [wrapWords(line.replaceAll(" %", "\u00a0%"), WIDTH)];
}

function swapLines(swaps: Swaps | undefined): string[] {
  if (swaps?.outcome === undefined) return [];
  const { moves, chunks, elapsedMs = 0, outcome } = swaps;
  const taken =
    moves.length === 0 ? "" : `${moves.length} moves on ${chunks} chunks each in ${Math.round(elapsedMs / 1000)} s; `;
  return [wrapWords(`swaps: ${taken}${outcome}`.replaceAll(" %", "\u00a0%"), WIDTH)];
}

function runTable(heading: string, columns: readonly RunColumn[], rows: readonly RunRow[], shown: RunShown): string {
  const heads = columns.map(({ headers, isText }) => ({
    header: headers.terminal ?? "",
    align: isText ? ("left" as const) : ("right" as const),
  }));
  return formatTable(
    [{ header: heading }, ...heads],
    rows.map((row) => [rowName(row), ...columns.map(({ text }) => text(row, "terminal", shown) ?? "-")]),
  );
}

function rowName({ kind, label }: RunRow): string {
  return kind === "plan" ? "> plan" : `  ${kind === "reference" ? "reference" : printable(label)}`;
}

export function warningLines(warnings: readonly string[]): string[] {
  return warnings.map((warning) => wrapWords(`! ${printable(warning)}`, WIDTH));
}

export function shownFile(path: string): string {
  return printable(baseName(path));
}
