/**
 * The documents rerankers are judged on: JSON Lines of {query, documents, relevance?, instruct?}, or the set that comes
 * with PRISM (data/rerank-set.jsonl). Queries and documents are texts, or pictures in files beside the set.
 */
import { isUtf8 } from "node:buffer";
import { createHash } from "node:crypto";
import { fileURLToPath } from "node:url";
import { type Static, Type } from "@sinclair/typebox";
import * as t from "../documents/fields.ts";
import { findRepeated } from "../documents/parse-json.ts";
import { findViolation } from "../documents/violation.ts";
import { type FileLimit, readWhole } from "../documents/whole-file.ts";
import { FormatError } from "../errors.ts";
import type { RerankSetSummary } from "../evaluate/rerank-result.ts";
import { present } from "../present.ts";
import { type Asked, labelOf, type RankContent } from "./rank-content.ts";
import { openSetPictures } from "./set-pictures.ts";

/** Largest grade: gains are 2^grade − 1. */
const MAX_GRADE = 30;

const full = Type.String({ minLength: 1, pattern: "\\S" });

const pictured = t.object({
  image: t.name("Path of a PNG, JPEG or WebP picture, from the set's folder."),
  text: t.optional(t.given(full, "Read after the picture.")),
});

const content = Type.Unsafe<string | Static<typeof pictured>>({
  // not anyOf, of which a message would name the half that was not meant
  if: { type: "object" },
  // biome-ignore lint/suspicious/noThenProperty: JSON Schema's word
  then: pictured,
  else: full,
});

/** A line of a set. */
export const RERANK_QUERY = t.object(
  {
    query: content,
    documents: t.list(content, { minItems: 1 }),
    relevance: t.optional(
      t.list(Type.Number({ minimum: 0, maximum: MAX_GRADE }), "Graded relevance of each document, 0 for none."),
    ),
    instruct: t.optional(t.prose()),
  },
  {
    $schema: "http://json-schema.org/draft-07/schema#",
    $id: "urn:prism-gguf:rerank-query",
    title: "PRISM rerank query",
    description: "A line of the JSON Lines that rerankers are judged on.",
  },
);
export interface RerankLine extends t.Content<typeof RERANK_QUERY> {}

/** A query of a set, its pictures read. */
export interface RerankQuery<Content = string> extends Asked<Content> {
  readonly relevance?: readonly number[] | undefined;
  readonly instruct?: string | undefined;
}

export interface RerankSet {
  /** Absent: the set that comes with PRISM. */
  readonly path?: string | undefined;
  /** Of the file, and of the pictures that it names. */
  readonly sha256: string;
  readonly queries: readonly RerankQuery<RankContent>[];
}

const SET: FileLimit = { noun: "a rerank set", maxBytes: 2 ** 26, remedy: "give fewer queries, or fewer documents" };

const DEFAULT_SET = fileURLToPath(new URL("../../data/rerank-set.jsonl", import.meta.url));

/** Read a set, or the default one. Throws FileError, and FormatError that names the line. */
export async function readRerankSet(path?: string): Promise<RerankSet> {
  const file = path ?? DEFAULT_SET;
  const bytes = await readWhole(file, SET);
  if (bytes.toString("latin1", 0, 4) === "GGUF") {
    throw new FormatError(file, "is a model, expected JSON Lines; name the models before --rerank");
  }
  if (!isUtf8(bytes)) throw new FormatError(file, "is not UTF-8, expected a text file of JSON Lines");
  const pictures = openSetPictures(file);
  const queries: RerankQuery<RankContent>[] = [];
  for (const { asked, wrong } of parseRerankSet(bytes.toString("utf8"), file)) {
    const query = await pictures.read(asked.query, "query", wrong);
    const documents: RankContent[] = [];
    for (const [index, document] of asked.documents.entries()) {
      documents.push(await pictures.read(document, `documents[${index}]`, wrong));
    }
    queries.push({ ...asked, query, documents });
  }
  const hash = createHash("sha256");
  for (const part of [bytes, ...pictures.files]) hash.update(part);
  return { path, sha256: hash.digest("hex"), queries };
}

export interface SetLine {
  readonly asked: RerankLine;
  /** An error that names the line. */
  readonly wrong: (message: string, cause?: unknown) => FormatError;
}

/** Parse JSON Lines; empty lines don't count. */
export function parseRerankSet(text: string, path: string): SetLine[] {
  const lines = text
    .replace(/^\uFEFF/, "")
    .split(/\r?\n/)
    .flatMap((line, index) => {
      const wrong: SetLine["wrong"] = (message, cause) =>
        new FormatError(path, `line ${index + 1}: ${message}`, { cause });
      return line.trim() === "" ? [] : [{ asked: parseLine(line, wrong), wrong }];
    });
  if (lines.length > 0) return lines;
  throw new FormatError(path, `holds no query, expected lines like {"query": "…", "documents": ["…", "…"]}`);
}

function parseLine(line: string, wrong: SetLine["wrong"]): RerankLine {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch (error) {
    throw wrong(`not JSON (${(error as Error).message})`, error);
  }
  const repeated = findRepeated(line, value);
  if (repeated !== undefined) throw wrong(`says ${repeated} twice; delete the one that is wrong`);
  const violation = findViolation(RERANK_QUERY, value);
  if (violation !== undefined) throw wrong(violation);
  const { query, documents, relevance, instruct } = value as RerankLine;
  if (relevance !== undefined && relevance.length !== documents.length) {
    throw wrong(`relevance: expected a number per document, ${documents.length} of them, got ${relevance.length}`);
  }
  return { query, documents, ...present({ relevance, instruct }) };
}

/** Characters by which an evaluation knows a text. */
const LABEL_CHARACTERS = 80;

/** What an evaluation says of the set. */
export function summarizeSet({ path, sha256, queries }: RerankSet): RerankSetSummary {
  return {
    source: path === undefined ? "default" : "file",
    ...present({ path }),
    sha256,
    queries: queries.map(({ query, documents }) => ({ query: label(query), documents: documents.map(label) })),
  };
}

function label(content: RankContent): string {
  const text = labelOf(content);
  const characters = [...text];
  if (characters.length <= LABEL_CHARACTERS) return text;
  return `${characters.slice(0, LABEL_CHARACTERS - 1).join("")}…`;
}
