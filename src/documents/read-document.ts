/**
 * Text → document of a kind, or a FormatError that names the file, the field, what was expected and got, and what to do.
 * Fields that the schema doesn't know are kept: a later PRISM may have added them. Runs in a browser too.
 */
import type { TSchema } from "@sinclair/typebox";
import { FormatError } from "../errors.ts";
import type { DocumentKind } from "./document-kind.ts";
import type { Content } from "./fields.ts";
import { parseJson } from "./parse-json.ts";
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

const ANY: Pick<DocumentKind, "noun" | "remedy"> = { noun: "a document", remedy: "make it again" };

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
