/**
 * Text → document of a kind, or a FormatError that names the file, the field, what was expected and got, and what to do.
 * Fields that the schema doesn't know are kept: a later PRISM may have added them. Runs in a browser too.
 */
import type { TSchema } from "@sinclair/typebox";
import { FormatError } from "../errors.ts";
import type { DocumentKind } from "./document-kind.ts";
import type { Content } from "./fields.ts";
import { findViolation, shown } from "./violation.ts";

/** Read a document. `path` is for messages. Throws FormatError. */
export function readDocument<Schema extends TSchema>(
  text: string,
  path: string,
  kind: DocumentKind<Schema>,
): Content<Schema> {
  if (text.length > kind.maxBytes) {
    throw new FormatError(
      path,
      `${text.length} characters are too many for ${kind.noun} (at most ${kind.maxBytes}); ${kind.remedy}`,
    );
  }
  const document = parseJson(text, path, kind);
  checkId(document, path, kind);
  const violation = findViolation(kind.schema, document);
  if (violation === undefined) return document as Content<Schema>;
  throw new FormatError(path, `${kind.noun}, but damaged: ${violation}; ${kind.remedy}`);
}

/** The `schema` that a text carries, of whichever kind; undefined where it has none. Throws FormatError for no JSON. */
export function schemaOf(text: string, path: string): string | undefined {
  const { schema } = (parseJson(text, path, ANY) ?? {}) as { schema?: unknown };
  return typeof schema === "string" ? schema : undefined;
}

type Named = Pick<DocumentKind, "noun" | "remedy">;

const ANY: Named = { noun: "a document", remedy: "make it again" };

/** Parse JSON that may have been cut off. Throws FormatError. */
export function parseJson(text: string, path: string, { noun, remedy }: Named): unknown {
  if (nestsTooDeep(text)) {
    throw new FormatError(path, `is nested deeper than the ${MAX_DEPTH} levels of any document; ${remedy}`);
  }
  try {
    // Windows programs put a byte order mark first
    return JSON.parse(text.replace(/^\uFEFF/, ""));
  } catch (error) {
    const { message } = error as Error;
    const why = isCutOff(text, message)
      ? `${noun} that is cut off at byte ${new TextEncoder().encode(text).length}, where the file ends`
      : `is not JSON (${message}), expected ${noun}`;
    throw new FormatError(path, `${why}; ${remedy}`, { cause: error });
  }
}

/** Lists and objects in each other. Documents have a dozen, and what walks them may recurse. */
const MAX_DEPTH = 64;

function nestsTooDeep(text: string): boolean {
  let depth = 0;
  for (let index = 0; index < text.length; index++) {
    const char = text[index];
    if (char === '"') index = endOfString(text, index);
    else if (char === "[" || char === "{") depth++;
    else if (char === "]" || char === "}") depth--;
    if (depth > MAX_DEPTH) return true;
  }
  return false;
}

/** Where the string that begins at `start` ends: at a quote behind an even number of backslashes. */
function endOfString(text: string, start: number): number {
  for (let end = text.indexOf('"', start + 1); end >= 0; end = text.indexOf('"', end + 1)) {
    let before = end - 1;
    while (text[before] === "\\") before--;
    if ((end - before) % 2 === 1) return end;
  }
  return text.length;
}

/** Whether V8 found no fault but the end. */
function isCutOff(text: string, message: string): boolean {
  const position = /at position (\d+)/.exec(message)?.[1];
  return position === undefined
    ? /Unexpected end/.test(message)
    : /^Unterminated string/.test(message) || Number(position) >= text.trimEnd().length;
}

function checkId(document: unknown, path: string, { id, noun, remedy }: DocumentKind): void {
  if (typeof document !== "object" || document === null || Array.isArray(document)) {
    throw new FormatError(path, `expected ${noun} ("schema": "${id}"), got ${shown(document)}; ${remedy}`);
  }
  const { schema, prismVersion } = document as { schema?: unknown; prismVersion?: unknown };
  if (schema === id) return;
  const [family] = id.split("/") as [string];
  if (typeof schema === "string" && schema.startsWith(`${family}/`)) {
    const maker = typeof prismVersion === "string" ? `PRISM ${prismVersion.slice(0, 20)}` : "another PRISM";
    throw new FormatError(path, `${noun} in a format of ${maker}, ${shown(schema)}, expected "${id}"; ${remedy}`);
  }
  const found = schema === undefined ? "one without a schema" : shown(schema);
  throw new FormatError(path, `expected ${noun} ("schema": "${id}"), got ${found}; ${remedy}`);
}
