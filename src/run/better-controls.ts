/**
 * Controls that a person would rather take than the run's own file: of its size or smaller and closer to the source, or
 * smaller and as close.
 */
import { DEFAULT_SENSITIVITY } from "../sensitivity/sensitivity-modes.ts";
import type { RunAsked } from "./asked-document.ts";
import { differenceTo } from "./row-distance.ts";
import type { RowKind, Run, RunRow } from "./run-document.ts";
import { SAME_SIZE } from "./same-size.ts";
import { shownLabel } from "./shown-label.ts";
import { outcome, TIE_STANDARD_ERRORS } from "./verdict.ts";

/** Files that somebody would use. The others show what the plan owes to what, and are none. */
const USABLE: ReadonlySet<RowKind> = new Set(["preset", "plain", "published", "rival", "uniform"]);

/** "all Q5_K is 2.2 % smaller than this file and closer to the source: …", one for each; `taken` is the row of the file. */
export function betterControls(run: Pick<Run, "rows" | "text" | "asked" | "outputs">, taken: RunRow): string[] {
  const chunks = run.text?.chunks ?? 0;
  const better = run.rows.filter((row) => USABLE.has(row.kind) && outcome(taken, row, chunks) === "loses");
  return better.map((row, index) => {
    // once is enough
    const advice = index === better.length - 1 ? replanning(run.asked) : "";
    return `${shownLabel(row.label)} is ${comparison(taken, row)}: ${whereItIs(run, row)}${advice}`;
  });
}

function comparison(taken: RunRow, row: RunRow): string {
  const difference = differenceTo(taken, row);
  const isCloser = difference !== undefined && difference.value < -TIE_STANDARD_ERRORS * difference.se;
  const saved = 1 - row.fileBytes / taken.fileBytes;
  if (saved <= SAME_SIZE) return "as large as this file and closer to the source";
  const measured = isCloser ? "and closer to the source" : "and not measurably further from the source";
  return `${(100 * saved).toFixed(1)} % smaller than this file ${measured}`;
}

function whereItIs({ outputs = [] }: Pick<Run, "outputs">, { kind, sha256, from }: RunRow): string {
  if (kind === "rival") return from === undefined ? "take that one" : `take that one, ${from}`;
  const kept = outputs.find((output) => sha256 !== undefined && output.sha256 === sha256);
  return kept === undefined ? "the same command with --keep-models keeps that one" : `take ${kept.path}`;
}

/** What the plan was made without, and might be better with. */
function replanning({ refine, sensitivity, imatrix, engine }: RunAsked): string {
  const left = [
    ...(refine === undefined && sensitivity === DEFAULT_SENSITIVITY ? ["--refine 0"] : []),
    // llama.cpp's programs make none
    ...(imatrix === undefined && engine.startsWith("embedded") ? ["--imatrix none"] : []),
  ];
  return left.length === 0 ? "" : `; without ${left.join(" and ")} the plan may be better`;
}
