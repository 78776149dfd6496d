/** What a hostile name may not do in what PRISM renders: each judge returns the faults it sees, in words. */
import { parse as parseYaml } from "yaml";
import { CANARY } from "./hostile-names.ts";

/** Moves the cursor, colours, ends a line or reorders what is read. */
const UNPRINTABLE = /[\p{Cc}\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/u;

export function judgeTerminal(text: string): string[] {
  const found = UNPRINTABLE.exec(text.replaceAll("\n", ""));
  return found === null ? [] : [`U+${found[0].charCodeAt(0).toString(16)} in ${around(text, text.indexOf(found[0]))}`];
}

/** HTML or SVG: no element, attribute or comment of the name's own. */
export function judgeMarkup(html: string): string[] {
  const faults: string[] = [];
  const scripts = /<script\b[^>]*>([\s\S]*?)<\/script\s*>/gi;
  for (const [, body = ""] of html.matchAll(scripts)) {
    if (body.trimStart().startsWith(CANARY)) faults.push("a script of a name's");
    if (body.includes(CANARY) && /<!--|<script/i.test(body)) faults.push("a script that holds <!-- or <script");
  }
  const markup = html.replace(scripts, "").replace(/<style\b[^>]*>[\s\S]*?<\/style\s*>/gi, "");
  if (/<!--[^>]*prism_canary/.test(markup)) faults.push("a comment of a name's");
  const tag = /<([a-z][\w:-]*)((?:\s+[^\s=>"'/]+(?:\s*=\s*(?:"[^"]*"|'[^']*'|[^\s"'>]+))?)*)\s*\/?>/gi;
  for (const [whole, name = "", attributes = ""] of markup.matchAll(tag)) {
    for (const [, key = "", value = ""] of attributes.matchAll(/([^\s=]+)\s*=\s*("[^"]*"|'[^']*'|\S+)/g)) {
      const content = value.replace(/^["']/, "");
      const runs = /^on/i.test(key) && content.includes(CANARY);
      const loads = /^(src|href|xlink:href)$/i.test(key) && /^(prism_canary|\s*javascript:)/i.test(content);
      if (runs || loads) faults.push(`${name} with ${key}: ${whole.slice(0, 200)}`);
    }
    if (whole.slice(1).startsWith(CANARY)) faults.push(whole);
  }
  return faults;
}

/** A model card: its front matter is PRISM's, and no name is a heading, a link or an element. */
export function judgeCard(text: string): string[] {
  const [, front = "", body = ""] = /^---\n([\s\S]*?)\n---\n([\s\S]*)$/.exec(text) ?? [];
  const faults: string[] = [];
  try {
    if (Object.hasOwn(parseYaml(front) as object, "key")) faults.push("a key of a name's in the front matter");
  } catch (error) {
    faults.push(`front matter: ${(error as Error).message}`);
  }
  const prose = body.replace(/^```[\s\S]*?^```/gm, "").replace(/(`+)[^`]([\s\S]*?[^`])??\1(?!`)/g, "");
  for (const pattern of [
    /^ {0,3}# heading/m,
    /(?<!\\)\[link\]\(javascript:/,
    /(?<!\\)<(img|script|svg|!--|b>)[^>]*prism_canary/,
  ]) {
    const found = pattern.exec(prose);
    if (found !== null) faults.push(`a card with ${around(prose, found.index)}`);
  }
  return faults;
}

/** Rows of one width, and no cell that a spreadsheet would compute. */
export function judgeCsv(text: string): string[] {
  const rows = parseCsv(text);
  const faults = rows
    .filter((row) => row.length !== rows[0]?.length)
    .map((row) => `a row of ${row.length}: ${row.join()}`);
  for (const cell of rows.flat()) {
    if (/^[=+\-@\t\r]/.test(cell) && Number.isNaN(Number(cell.replace("%", ""))))
      faults.push(`a formula: ${cell.slice(0, 100)}`);
  }
  return faults;
}

function parseCsv(text: string): string[][] {
  const rows: string[][] = [[]];
  for (const [, quoted, plain = "", end] of text.matchAll(/(?:"((?:[^"]|"")*)"|([^",\r\n]*))(,|\r?\n|$)/g)) {
    rows.at(-1)?.push(quoted?.replaceAll('""', '"') ?? plain);
    if (end === "") break;
    if (end !== ",") rows.push([]);
  }
  return rows.filter((row) => row.length > 1 || row[0] !== "");
}

/** PowerShell outside of its strings and comments: nothing of a name's. */
export function judgePowerShell(text: string): string[] {
  const quote = "'\u2018\u2019\u201a\u201b";
  const code = text
    .replace(new RegExp(`@[${quote}][ \\t]*\\n[\\s\\S]*?\\n[${quote}]@`, "g"), "@")
    .replace(new RegExp(`[${quote}](?:[^${quote}]|[${quote}]{2})*[${quote}]`, "g"), "''")
    .replace(/#.*$/gm, "");
  const at = code.indexOf(CANARY);
  return at < 0 ? [] : [`PowerShell runs ${around(code, at)}`];
}

function around(text: string, at: number): string {
  return JSON.stringify(text.slice(Math.max(0, at - 60), at + 60));
}
