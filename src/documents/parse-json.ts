/**
 * Text → value, of JSON that may be anyone's: bounded in depth, and without an object that says a key twice, of which
 * JSON.parse takes the last and a reader the first. Runs in a browser too.
 */
import { FormatError } from "../errors.ts";
import type { DocumentKind } from "./document-kind.ts";

/** Parse JSON that may have been cut off. `path` is for messages. Throws FormatError. */
export function parseJson(
  text: string,
  path: string,
  { noun, remedy }: Pick<DocumentKind, "noun" | "remedy">,
): unknown {
  const { depth, members } = measure(text);
  if (depth > MAX_DEPTH) {
    throw new FormatError(path, `is nested deeper than the ${MAX_DEPTH} levels of any document; ${remedy}`);
  }
  let value: unknown;
  try {
    // Windows programs put a byte order mark first
    value = JSON.parse(text.replace(/^\uFEFF/, ""));
  } catch (error) {
    const { message } = error as Error;
    const why = isCutOff(text, message)
      ? `${noun} that is cut off at byte ${new TextEncoder().encode(text).length}, where the file ends`
      : `is not JSON (${message}), expected ${noun}`;
    throw new FormatError(path, `${why}; ${remedy}`, { cause: error });
  }
  const repeated = findRepeated(text, value, members);
  if (repeated === undefined) return value;
  throw new FormatError(path, `says ${repeated} twice in one object; delete the one that is wrong, or ${remedy}`);
}

/** A key that an object says twice, with its line, in words; undefined where each is said once. `value` is the text's. */
export function findRepeated(text: string, value: unknown, members = measure(text).members): string | undefined {
  return members === countMembers(value) ? undefined : repeatedKey(text);
}

/** Lists and objects in each other. Documents have a dozen, and what walks them may recurse. */
const MAX_DEPTH = 64;

/** How deep the text of JSON nests, as far as that is allowed, and how many members its objects have together. */
function measure(text: string): { depth: number; members: number } {
  let depth = 0;
  let members = 0;
  for (let index = 0; index < text.length && depth <= MAX_DEPTH; index++) {
    const char = text[index];
    if (char === '"') index = endOfString(text, index);
    else if (char === "[" || char === "{") depth++;
    else if (char === "]" || char === "}") depth--;
    else if (char === ":") members++;
  }
  return { depth, members };
}

/** Where the string that begins at `start` ends: at a quote behind an even number of backslashes. */
export function endOfString(text: string, start: number): number {
  for (let end = text.indexOf('"', start + 1); end >= 0; end = text.indexOf('"', end + 1)) {
    let before = end - 1;
    while (text[before] === "\\") before--;
    if ((end - before) % 2 === 1) return end;
  }
  return text.length;
}

/** Members that are left of what was parsed: a repeated key is one. */
function countMembers(value: unknown): number {
  if (typeof value !== "object" || value === null) return 0;
  let members = 0;
  if (Array.isArray(value)) for (const item of value) members += countMembers(item);
  else {
    for (const member of Object.values(value)) members += 1 + countMembers(member);
  }
  return members;
}

/** Characters of a key in a message. */
const MAX_KEY = 80;

/** The first key that an object of the text, which is JSON, says twice. */
function repeatedKey(text: string): string | undefined {
  const open: Set<unknown>[] = [];
  for (let index = 0; index < text.length; index++) {
    const char = text[index];
    if (char === "[" || char === "{") open.push(new Set());
    else if (char === "]" || char === "}") open.pop();
    if (char !== '"') continue;
    const start = index;
    index = endOfString(text, start);
    let next = index + 1;
    while (" \t\r\n".includes(text[next] ?? ":")) next++;
    // what is before a colon is a key
    if (text[next] !== ":") continue;
    const key = JSON.parse(text.slice(start, index + 1)) as string;
    const keys = open.at(-1);
    if (keys?.has(key)) {
      return `${JSON.stringify(key.slice(0, MAX_KEY))} (line ${text.slice(0, start).split("\n").length})`;
    }
    keys?.add(key);
  }
  return undefined;
}

/** Whether V8 found no fault but the end. */
function isCutOff(text: string, message: string): boolean {
  const position = /at position (\d+)/.exec(message)?.[1];
  return position === undefined
    ? /Unexpected end/.test(message)
    : /^Unterminated string/.test(message) || Number(position) >= text.trimEnd().length;
}
