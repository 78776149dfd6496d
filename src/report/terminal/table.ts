/** Aligned text tables that fit a terminal. Libraries for this draw boxes or measure cells for colour; little does here. */
import { displayWidth, TERMINAL_WIDTH, wrapWords } from "./wrap-words.ts";

export interface Column {
  readonly header: string;
  /** Numbers go right. Default: left. */
  readonly align?: "left" | "right";
  /** Where there is no room the column is left out, that of the highest number first. */
  readonly drop?: number | undefined;
}

const GAP = "  ";

/** Columns that words keep at least. */
const LEAST_WIDTH = 12;

/**
 * Format rows under headers, in at most `width` columns; a cell may have several lines. What is too wide leaves out
 * columns, then breaks the widest words. No trailing spaces, no final line break.
 */
export function formatTable(
  columns: readonly Column[],
  rows: readonly (readonly string[])[],
  width = TERMINAL_WIDTH,
): string {
  const all = [columns.map(({ header }) => header), ...rows].map((row) =>
    columns.map((_, column) => (row[column] ?? "").split("\n")),
  );
  const kept = keptColumns(columns, all, width);
  const table = narrowed(
    kept.map((index) => columns[index] as Column),
    all.map((row) => kept.map((index) => row[index] as string[])),
    width,
  );
  const widths = widthsOf(table);
  const lines = table.flatMap((row) => {
    const height = Math.max(1, ...row.map((cell) => cell.length));
    return Array.from({ length: height }, (_, line) =>
      kept
        .map((index, column) =>
          pad(row[column]?.[line] ?? "", widths[column] as number, columns[index]?.align === "right"),
        )
        .join(GAP)
        .trimEnd(),
    );
  });
  return lines.join("\n");
}

type Cells = readonly (readonly string[])[];

/** Indices of the columns that there is room for. */
function keptColumns(columns: readonly Column[], table: readonly Cells[], width: number): number[] {
  const widths = widthsOf(table);
  let kept = columns.map((_, index) => index);
  while (totalWidth(kept.map((index) => widths[index] as number)) > width) {
    const next = Math.max(...kept.map((index) => columns[index]?.drop ?? 0));
    if (next === 0) break;
    kept = kept.filter((index) => columns[index]?.drop !== next);
  }
  return kept;
}

/** With its widest column of words broken, where it is too wide. */
function narrowed(columns: readonly Column[], table: readonly Cells[], width: number): readonly Cells[] {
  const widths = widthsOf(table);
  const excess = totalWidth(widths) - width;
  const words = columns.flatMap(({ align }, index) => (align === "right" ? [] : [index]));
  const [widest] = words.sort((a, b) => (widths[b] as number) - (widths[a] as number));
  if (excess <= 0 || widest === undefined) return table;
  const room = Math.max(LEAST_WIDTH, (widths[widest] as number) - excess);
  // nothing stands behind the last column: a path stays whole there
  const isLast = widest === columns.length - 1;
  return table.map((row) =>
    row.map((cell, index) => (index === widest ? cell.flatMap((line) => breakLine(line, room, isLast)) : cell)),
  );
}

/** What stands before the first word is no place to break at: a long name would stand below its figures. */
function breakLine(line: string, room: number, isLast: boolean): string[] {
  const indent = /^ */.exec(line)?.[0] ?? "";
  const words = wrapWords(line.slice(indent.length), room - indent.length).split("\n");
  const lines = words.map((part) => indent + part);
  return isLast ? lines : lines.map((part) => cutMiddle(part, room));
}

/** A long word without its middle: names differ at their ends. */
export function cutMiddle(text: string, width: number): string {
  if (displayWidth(text) <= width) return text;
  const characters = [...text];
  const head = Math.ceil((width - 1) / 2);
  return `${characters.slice(0, head).join("")}…${characters.slice(characters.length - (width - 1 - head)).join("")}`;
}

function widthsOf(table: readonly Cells[]): number[] {
  const [first = []] = table;
  return first.map((_, column) => Math.max(...table.flatMap((row) => (row[column] ?? [""]).map(displayWidth))));
}

function totalWidth(widths: readonly number[]): number {
  return widths.reduce((sum, width) => sum + width, 0) + GAP.length * Math.max(0, widths.length - 1);
}

function pad(text: string, width: number, right: boolean): string {
  const space = " ".repeat(Math.max(0, width - displayWidth(text)));
  return right ? space + text : text + space;
}
