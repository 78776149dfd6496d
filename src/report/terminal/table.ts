/** Aligned text tables for a terminal. Libraries for this draw boxes or measure cells for colour; 40 lines do here. */

export interface Column {
  readonly header: string;
  /** Numbers go right. Default: left. */
  readonly align?: "left" | "right";
}

const GAP = "  ";

/** Format rows under headers; a cell may have several lines. No trailing spaces, no final line break. */
export function formatTable(columns: readonly Column[], rows: readonly (readonly string[])[]): string {
  const table = [columns.map(({ header }) => header), ...rows].map((row) => row.map((cell) => cell.split("\n")));
  const widths = columns.map((_, column) =>
    Math.max(...table.flatMap((row) => (row[column] ?? [""]).map(displayWidth))),
  );
  const lines = table.flatMap((row) => {
    const height = Math.max(1, ...row.map((cell) => cell.length));
    return Array.from({ length: height }, (_, line) =>
      columns
        .map(({ align }, column) => pad(row[column]?.[line] ?? "", widths[column] ?? 0, align === "right"))
        .join(GAP)
        .trimEnd(),
    );
  });
  return lines.join("\n");
}

/** Break text at spaces into lines of at most `width` characters; a longer word has a line to itself. */
export function wrapWords(text: string, width: number): string {
  const lines: string[] = [];
  for (const word of text.split(" ")) {
    const last = lines.at(-1);
    if (last !== undefined && displayWidth(last) + 1 + displayWidth(word) <= width)
      lines[lines.length - 1] = `${last} ${word}`;
    else lines.push(word);
  }
  return lines.join("\n");
}

function pad(text: string, width: number, right: boolean): string {
  const space = " ".repeat(Math.max(0, width - displayWidth(text)));
  return right ? space + text : text + space;
}

/** Characters, not code units. */
function displayWidth(text: string): number {
  return [...text].length;
}
