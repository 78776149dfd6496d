/** File size against quality in characters: a mark for every measured row, and a line of figures for every mark. */

import { formatSize } from "../../numbers.ts";
import type { RunRow } from "../../run/run-document.ts";
import { shownLabel } from "../../run/shown-label.ts";
import { type Extent, extentOf, formatTick, pixelOf } from "../charts/extent.ts";
import {
  isPlanRow,
  METRIC_NAMES,
  type MeasuredRun,
  measuredRows,
  type ParetoMetric,
  paretoFront,
  preferredMetric,
  qualityOf,
} from "../charts/pareto.ts";
import { showName } from "../charts/table.ts";
import { DEFAULT_WIDTH, type TextPictureOptions } from "./map-text.ts";
import { formatMeanSe } from "./mean-se.ts";
import { type Paint, plain } from "./paint.ts";
import { formatTable } from "./table.ts";

interface Mark {
  readonly mark: string;
  readonly row: RunRow;
  readonly value: number;
  readonly se: number;
  readonly survives: boolean;
}

const HEIGHT = 16;
/** Characters of the numbers beside the axis that goes up. */
const AXIS_WIDTH = 9;
/** Widest picture: wider ones are no clearer. */
const MOST_COLUMNS = 100;
const LABEL_WIDTH = 30;
/** Cells to the right in which a mark may stand when its own is taken. */
const MOST_SHIFT = 3;

/** Render the rows of a run and the points of its sweep; undefined where none was measured. Ends without a line break. */
export function renderParetoText(run: MeasuredRun, options: TextPictureOptions = {}): string | undefined {
  const { paint = plain, width = DEFAULT_WIDTH } = options;
  const rows = measuredRows(run);
  const metric = preferredMetric(rows);
  if (metric === undefined) return undefined;
  const marks = markRows(run, metric);
  const columns = Math.min(width, MOST_COLUMNS) - AXIS_WIDTH - 2;
  const sizes = extentOf(
    marks.map(({ row }) => row.fileBytes),
    0.06,
    false,
  );
  const log = metric !== "ppl" && marks.every(({ value }) => value > 0);
  const qualities = extentOf(
    marks.map(({ value }) => value),
    0.06,
    log,
  );
  const { axis, column } = METRIC_NAMES[metric];
  return [
    "SIZE AGAINST QUALITY: lower and further left is better",
    `file size across, ${axis} up${log ? " (log)" : ""}`,
    ...grid(marks, sizes, qualities, columns, paint),
    "",
    markTable(marks, column),
    "* no other file is both smaller and better",
  ].join("\n");
}

/** The plan is P; the others are lettered from the smallest file on. */
function markRows(run: MeasuredRun, metric: ParetoMetric): Mark[] {
  const rows = measuredRows(run);
  const front = new Set(paretoFront(rows, metric));
  const measured = rows.flatMap((row) => {
    const quality = row.kind === "reference" ? undefined : qualityOf(row, metric);
    return quality === undefined ? [] : [{ row, ...quality, survives: front.has(row) }];
  });
  const letters = [..."abcdefghijklmnopqrstuvwxyz"];
  return measured
    .sort((a, b) => a.row.fileBytes - b.row.fileBytes || a.value - b.value)
    .map((entry) => ({
      ...entry,
      mark: entry.row.kind === "plan" && isPlanRow(run, entry.row) ? "P" : (letters.shift() ?? "+"),
    }));
}

function grid(marks: readonly Mark[], sizes: Extent, qualities: Extent, columns: number, paint: Paint): string[] {
  const cells = Array.from({ length: HEIGHT }, () => new Array<Mark | undefined>(columns).fill(undefined));
  for (const mark of [...marks].sort((a, b) => Number(b.mark === "P") - Number(a.mark === "P"))) {
    const line = cells[Math.round(pixelOf(mark.value, qualities, HEIGHT - 1, 0))];
    const column = Math.round(pixelOf(mark.row.fileBytes, sizes, 0, columns - 1));
    const free = line?.findIndex((cell, at) => at >= column && at <= column + MOST_SHIFT && cell === undefined) ?? -1;
    if (line !== undefined && free >= 0) line[free] = mark;
  }
  const lines = cells.map((line, index) => {
    const text = line.map((cell) => (cell === undefined ? " " : paintMark(paint, cell))).join("");
    return `${axisNumber(index, qualities).padStart(AXIS_WIDTH)} │${text.trimEnd()}`.trimEnd();
  });
  const [low, high] = [formatSize(sizes.min), formatSize(sizes.max)];
  const numbers = `${low}${high.padStart(columns - low.length)}`;
  return [...lines, `${" ".repeat(AXIS_WIDTH + 1)}└${"─".repeat(columns)}`, `${" ".repeat(AXIS_WIDTH + 2)}${numbers}`];
}

/** The value at every fifth line. */
function axisNumber(line: number, { min, max, log }: Extent): string {
  if (line % 5 !== 0) return "";
  const share = 1 - line / (HEIGHT - 1);
  return formatTick(log ? min * (max / min) ** share : min + share * (max - min));
}

function paintMark(paint: Paint, { mark, survives }: Mark): string {
  if (mark === "P") return paint("green", mark);
  return survives ? mark : paint("dim", mark);
}

function markTable(marks: readonly Mark[], header: string): string {
  return formatTable(
    [
      { header: "" },
      { header: "" },
      { header: "size", align: "right" },
      { header: "bpw", align: "right" },
      { header, align: "right" },
      { header: "" },
    ],
    marks.map(({ mark, row, value, se, survives }) => [
      mark,
      mark === "P" && row.label === "plan" ? "the plan" : showName(shownLabel(row.label), LABEL_WIDTH),
      formatSize(row.fileBytes),
      row.bpw.toFixed(3),
      formatMeanSe({ value, se }),
      survives ? "*" : "",
    ]),
  );
}
