/** Text broken at spaces, for a terminal. */

/** Columns where nothing is known of the terminal. */
export const TERMINAL_WIDTH = 80;

/** Longer lines of prose are hard to read. */
const PROSE_WIDTH = 100;

/** Spaces at which nothing is broken: a number and its unit, a command and its verb, an option and its value. */
const KEPT_TOGETHER =
  /(?<=\d) (?=(?:%|s|ms|min|h|bits|bytes|nats|[kMGT]i?B|±|standard errors?)(?![\w-]))|(?<=[\d.]) (?=±)|(?<=±) |(?<=\bprism) (?=[a-z])|(?<=(?:^|\s|\()--?[a-z][a-z-]*) (?=[A-Z\d"'])/g;

/** Stands for such a space while lines are broken. */
const GLUE = "\u00a0";

/** Break text at spaces into lines of at most `width` columns; a longer word has a line to itself. */
export function wrapWords(text: string, width: number): string {
  const lines: string[] = [];
  for (const word of text.replace(KEPT_TOGETHER, GLUE).split(" ")) {
    const last = lines.at(-1);
    if (last !== undefined && displayWidth(last) + 1 + displayWidth(word) <= width)
      lines[lines.length - 1] = `${last} ${word}`;
    else lines.push(word);
  }
  return lines.join("\n").replaceAll(GLUE, " ");
}

/**
 * Break the lines of a text that are too long; what follows of a line is indented as it is, and by two spaces more, so
 * that lines are still told apart.
 */
export function fitLines(text: string, width: number): string {
  return text
    .split("\n")
    .map((line) => (displayWidth(line) <= width ? line : fitLine(line, Math.min(width, PROSE_WIDTH))))
    .join("\n");
}

function fitLine(line: string, width: number): string {
  const indent = /^ */.exec(line)?.[0] ?? "";
  const hanging = `${indent}  `;
  const [first = "", ...rest] = wrapWords(line.slice(indent.length), width - indent.length).split("\n");
  if (rest.length === 0) return line;
  // the lines that follow have two columns less
  const later = wrapWords(rest.join(" "), width - hanging.length).split("\n");
  return [indent + first, ...later.map((part) => hanging + part)].join("\n");
}

/** Columns that a text takes: marks that combine take none, ideographs and pictures two, colours none. */
export function displayWidth(text: string): number {
  let width = 0;
  for (const character of text.replaceAll(COLOUR, "")) {
    width += NONE.test(character) ? 0 : WIDE.test(character) ? 2 : 1;
  }
  return width;
}

const COLOUR = new RegExp(`${String.fromCharCode(27)}\\[\\d+m`, "g");
const NONE = /^(?:\p{Mn}|\p{Me}|\p{Cf})$/u;
const WIDE =
  /^[\u1100-\u115f\u2e80-\u303e\u3041-\u33ff\u3400-\u4dbf\u4e00-\u9fff\ua000-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6]$|^\p{Emoji_Presentation}$/u;
