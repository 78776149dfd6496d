/** Evaluations and runs as text: one line per model, figures with their standard errors. */
import { baseName } from "../../base-name.ts";
import type { Evaluation, KldSummary, ModelEvaluation } from "../../evaluate/evaluation.ts";
import { formatInteger } from "../../numbers.ts";
import { printable } from "../../plan/printable.ts";
import type { Refinement, Run, RunRow, Swaps } from "../../run/run-document.ts";
import { shownLabel } from "../../run/shown-label.ts";
import { type RunColumn, type RunShown, runColumns, shownOf, sortRows } from "../run-columns.ts";
import { stoppedInWords } from "../stopped-words.ts";
import { renderFamily } from "./family-table.ts";
import { gateLines } from "./gate-lines.ts";
import { formatMeanSe } from "./mean-se.ts";
import { moreFigureLines } from "./more-figures.ts";
import { speedLines } from "./speed-table.ts";
import { renderSweep } from "./sweep-table.ts";
import { formatTable } from "./table.ts";
import { fitLines, TERMINAL_WIDTH } from "./wrap-words.ts";

function formatKld(kld: KldSummary | undefined): string {
  return kld === undefined ? "-" : formatMeanSe({ value: kld.mean, se: kld.se });
}

function formatPercentValue(value: number | undefined): string {
  return value === undefined ? "-" : `${value.toFixed(1)} %`;
}

/** Render an evaluation. Ends with a line break. */
export function renderEvaluation(evaluation: Evaluation, width = TERMINAL_WIDTH): string {
  const compared = evaluation.models.some(({ kld }) => kld !== undefined);
  const table = formatTable(
    [
      { header: "model" },
      { header: "bytes", align: "right" },
      { header: "bpw", align: "right", drop: 2 },
      { header: "PPL", align: "right", drop: compared ? 1 : undefined },
      ...(compared
        ? [
            { header: "KLD (nats)", align: "right" as const },
            { header: "p99", align: "right" as const, drop: 3 },
            { header: "same top", align: "right" as const },
          ]
        : []),
    ],
    evaluation.models.map((model) => evaluationCells(model, compared)),
    width,
  );
  const { reference, models } = evaluation;
  const timed = [...(reference === undefined ? [] : [reference]), ...models];
  const speeds = speedLines(
    timed.map(({ path, speed }) => ({ name: shownFile(path), speed })),
    width,
  );
  const more = moreFigureLines(
    models.map((model) => ({ ...model, name: shownFile(model.path) })),
    width,
  );
  const blocks = [textLine(evaluation.text), ...referenceLine(evaluation), table, ...more, ...speeds];
  return `${[...blocks, ...warningLines(evaluation.warnings, width)].join("\n")}\n`;
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
export function renderRun(run: Run, width = TERMINAL_WIDTH): string {
  const shown = shownOf(run.rows);
  const both = shown.scored && shown.ranked;
  const rows = sortRows(run.rows);
  const results = runColumns("terminal", both ? { ...shown, ranked: false } : shown);
  const ranking = runColumns("terminal", { scored: false, ranked: true, embedded: false }).filter(
    ({ group }) => group === "documents",
  );
  const table = runTable("", results, rows, shown, width);
  const lines = [
    ...(run.text === undefined ? [] : [textLine(run.text)]),
    ...refinementLines(run.refinement, width),
    ...swapLines(run.swaps, width),
    ...(rows.length === 0 ? [] : [table, ...legendLines(rows, shown, width)]),
    ...(both ? ["", runTable("scores of documents", ranking, rows, shown, width)] : []),
  ];
  const figures = rows.map((row) => ({ ...row, name: rowName(row) }));
  lines.push(...moreFigureLines(figures, width));
  lines.push(
    ...speedLines(
      rows.map((row) => ({ name: rowName(row), speed: row.speed })),
      width,
    ),
  );
  if (run.verdict !== undefined) lines.push("", prose(run.verdict, width));
  lines.push(...renderFamily(run, width), ...renderSweep(run, width));
  lines.push(...gateLines(run.gates), ...stoppedLines(run, width));
  return `${[...lines, ...warningLines(run.warnings, width)].join("\n")}\n`;
}

function stoppedLines(run: Run, width: number): string[] {
  const stopped = stoppedInWords(run);
  return stopped === undefined ? [] : ["", prose(stopped, width)];
}

function refinementLines(refinement: Refinement | undefined, width: number): string[] {
  if (refinement === undefined) return [];
  const { probes, decoded, outcome, elapsedMs, regret } = refinement;
  const chunks = decoded === undefined ? "" : ` on ${decoded} chunks`;
  const open =
    regret === undefined
      ? ""
      : `; knowing all densities would save about ${(100 * regret).toPrecision(2)} % of its loss`;
  const line = `probes: ${probes.length} groups of tensors${chunks} in ${Math.round(elapsedMs / 1000)} s; ${outcome}${open}`;
  return [prose(line, width)];
}

function swapLines(swaps: Swaps | undefined, width: number): string[] {
  if (swaps?.outcome === undefined) return [];
  const { moves, chunks, elapsedMs = 0, outcome } = swaps;
  const taken =
    moves.length === 0 ? "" : `${moves.length} moves on ${chunks} chunks each in ${Math.round(elapsedMs / 1000)} s; `;
  return [prose(`swaps: ${taken}${outcome}`, width)];
}

function runTable(
  heading: string,
  columns: readonly RunColumn[],
  rows: readonly RunRow[],
  shown: RunShown,
  width: number,
): string {
  const heads = columns.map(({ headers, isText, drop }) => ({
    drop,
    header: headers.terminal ?? "",
    align: isText ? ("left" as const) : ("right" as const),
  }));
  return formatTable(
    [{ header: heading }, ...heads],
    rows.map((row) => [rowName(row), ...columns.map(({ text }) => text(row, "terminal", shown) ?? "-")]),
    width,
  );
}

function rowName({ kind, label }: RunRow): string {
  return kind === "plan" ? "> plan" : `  ${kind === "reference" ? "reference" : printable(shownLabel(label))}`;
}

/** What the controls are, and the figures, for whom this is the first run. */
function legendLines(rows: readonly RunRow[], { scored }: RunShown, width: number): string[] {
  const has = (kind: RunRow["kind"]) => rows.some((row) => row.kind === kind);
  const meanings = [
    ...(scored ? ["KLD: how far predictions moved from the reference's, lower is better"] : []),
    ...(scored ? ["same top: how often the likeliest token is the same"] : []),
    ...(scored && rows.some((row) => row.kldMinusPlan !== undefined) ? ["%: the row's KLD against the plan's"] : []),
    ...(has("plain") ? ["no imatrix: made without the importance matrix"] : []),
    ...(has("uniform-s") ? ["no sensitivity: planned with all weights weighed alike"] : []),
    ...(has("shuffle") ? ["shuffled: with the plan's sensitivities dealt out at random"] : []),
    ...(has("feedback") ? ["feedback: codes chosen so that errors make up for each other"] : []),
  ];
  return meanings.length === 0 ? [] : [prose(`(${meanings.join("; ")})`, width)];
}

export function warningLines(warnings: readonly string[], width = TERMINAL_WIDTH): string[] {
  return warnings.map((warning) => prose(`! ${printable(warning)}`, width));
}

function prose(text: string, width: number): string {
  return fitLines(text, width);
}

export function shownFile(path: string): string {
  return printable(baseName(path));
}
