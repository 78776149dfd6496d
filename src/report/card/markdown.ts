/** Markdown of the Hub as text: what comes from a file can neither mark anything up nor link anywhere. */
import { showName } from "../charts/table.ts";

/** Characters of a name or a sentence from a document. */
const TEXT_CHARACTERS = 1200;

/** Text of a document as a person may read it, in a paragraph, a heading or a cell. */
export function text(value: string): string {
  return showName(value, TEXT_CHARACTERS)
    .replaceAll("&", "&amp;")
    .replaceAll("<", "&lt;")
    .replaceAll(">", "&gt;")
    .replace(/[\\`*[\]|~#$]/g, "\\$&")
    .replace(/https?:|www\.|@/gi, (link) => link.replace(/[:.@]/, (sign) => `&#${sign.charCodeAt(0)};`));
}

/** Code within a line; backticks can't end it, a bar no cell. */
export function code(value: string): string {
  const shown = showName(value, TEXT_CHARACTERS).replaceAll("|", "¦");
  const fence = fenceFor(shown, 1);
  const space = fence.length > 1 || shown.startsWith(" ") ? " " : "";
  return `${fence}${space}${shown}${space}${fence}`;
}

/** Lines of code as they are. */
export function codeBlock(lines: string, language: string): string {
  const fence = fenceFor(lines, 3);
  return `${fence}${language}\n${lines.trimEnd()}\n${fence}`;
}

function fenceFor(content: string, least: number): string {
  const longest = Math.max(0, ...(content.match(/`+/g) ?? []).map((run) => run.length));
  return "`".repeat(longest < least ? least : longest + 1);
}

export interface MarkdownColumn {
  readonly header: string;
  readonly right?: boolean;
}

/** A table of cells that are Markdown already. */
export function markdownTable(columns: readonly MarkdownColumn[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.join(" | ")} |`;
  return [
    line(columns.map(({ header }) => header)),
    line(columns.map(({ right }) => (right === true ? "---:" : "---"))),
    ...rows.map(line),
  ].join("\n");
}
