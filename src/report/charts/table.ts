/** The table behind a picture: what a screen reader reads, what CSV holds, and what the picture was drawn from. */

import { formatAmount, formatInteger, formatPercent } from "../../numbers.ts";
import { printable } from "../../plan/printable.ts";

export interface TableColumn {
  readonly header: string;
  /** `percent` holds a fraction. Default: text. */
  readonly kind?: "text" | "bytes" | "number" | "percent";
  /** Decimals of a number; four significant digits otherwise. */
  readonly digits?: number;
}

export interface ChartTable {
  readonly columns: readonly TableColumn[];
  /** A value that is not known is undefined: an empty cell. */
  readonly rows: readonly (readonly (string | number | undefined)[])[];
}

/** Characters of a name before it is cut: a GGUF may hold names of any length. */
export const NAME_CHARACTERS = 60;

/** A name from a file as a person may read it: printable, and no longer than `limit` characters. */
export function showName(name: string, limit: number = NAME_CHARACTERS): string {
  const characters = [...name.slice(0, 4 * limit)];
  if (characters.length <= limit && name.length <= 4 * limit) return plainKey(printable(name));
  return `${printable(characters.slice(0, limit - 1).join(""))}…`;
}

/** ECharts remembers the width of a text in an object under it: "__proto__" would find, and change, that of all objects. */
function plainKey(text: string): string {
  return text in {} ? `${text}\u200c` : text;
}

/** A cell as a person reads it. */
export function showCell(column: TableColumn, value: string | number | undefined): string {
  if (value === undefined) return "";
  if (typeof value === "string") return showName(value, 200);
  if (column.kind === "bytes") return formatInteger(value);
  if (column.kind === "percent") return formatPercent(value, column.digits ?? 1);
  return column.digits === undefined ? formatAmount(value) : value.toFixed(column.digits);
}

/**
 * The table as CSV (RFC 4180), numbers in full. A text that a spreadsheet would take for a formula gets a quote before
 * it: names come from files of strangers.
 */
export function tableCsv({ columns, rows }: ChartTable): string {
  const lines = [columns.map(({ header }) => header), ...rows].map((row) => row.map(csvCell).join(","));
  return `${lines.join("\r\n")}\r\n`;
}

function csvCell(value: string | number | undefined): string {
  if (value === undefined) return "";
  if (typeof value === "number") return String(value);
  const safe = /^[=+\-@\t\r]/.test(value) ? `'${value}` : value;
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}
