/**
 * The documents rerankers are judged on: JSON Lines of {query, documents, relevance?, instruct?}, or the set that comes
 * with PRISM (data/rerank-set.jsonl).
 */
import { isUtf8 } from "node:buffer";
import { createHash } from "node:crypto";
import { readFile, stat } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { FileError, FormatError } from "../errors.ts";
import { present } from "../present.ts";

export interface RerankQuery {
  readonly query: string;
  readonly documents: readonly string[];
  /** Graded relevance of each document, 0 for none. */
  readonly relevance?: readonly number[] | undefined;
  readonly instruct?: string | undefined;
}

export interface RerankSet {
  /** Absent: the set that comes with PRISM. */
  readonly path?: string | undefined;
  readonly sha256: string;
  readonly queries: readonly RerankQuery[];
}

/** Bytes of the largest set that is read. */
const MAX_SET_BYTES = 64 * 2 ** 20;

const DEFAULT_SET = fileURLToPath(new URL("../../data/rerank-set.jsonl", import.meta.url));

/** Read a set, or the default one. Throws FileError, and FormatError that names the line. */
export async function readRerankSet(path?: string): Promise<RerankSet> {
  const file = path ?? DEFAULT_SET;
  const bytes = await readBytes(file);
  if (bytes.toString("latin1", 0, 4) === "GGUF") {
    throw new FormatError(file, "is a model, expected JSON Lines; name the models before --rerank");
  }
  if (!isUtf8(bytes)) throw new FormatError(file, "is not UTF-8, expected a text file of JSON Lines");
  const queries = parseRerankSet(bytes.toString("utf8"), file);
  const sha256 = createHash("sha256").update(bytes).digest("hex");
  return { path, sha256, queries };
}

async function readBytes(file: string): Promise<Buffer> {
  try {
    const { size } = await stat(file);
    if (size > MAX_SET_BYTES) throw new FileError(file, `has ${size} bytes, a rerank set at most ${MAX_SET_BYTES}`);
    return await readFile(file);
  } catch (error) {
    if (error instanceof FileError) throw error;
    const { code, message } = error as NodeJS.ErrnoException;
    throw new FileError(file, code === "ENOENT" ? "no such rerank set; check --rerank" : message, { cause: error });
  }
}

/** Parse JSON Lines; empty lines don't count. */
export function parseRerankSet(text: string, path: string): RerankQuery[] {
  const queries = text
    .replace(/^\uFEFF/, "")
    .split(/\r?\n/)
    .flatMap((line, index) => {
      const wrong = (message: string, cause?: unknown) =>
        new FormatError(path, `line ${index + 1}: ${message}`, { cause });
      return line.trim() === "" ? [] : [parseLine(line, wrong)];
    });
  if (queries.length > 0) return queries;
  throw new FormatError(path, `holds no query, expected lines like {"query": "…", "documents": ["…", "…"]}`);
}

type Wrong = (message: string, cause?: unknown) => FormatError;

function parseLine(line: string, wrong: Wrong): RerankQuery {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch (error) {
    throw wrong(`not JSON (${(error as Error).message})`, error);
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw wrong(`expected an object with "query" and "documents"`);
  }
  const { query, documents, relevance, instruct } = value as Record<string, unknown>;
  if (typeof query !== "string" || query.trim() === "") throw wrong(`"query" must be a text that is not empty`);
  if (!Array.isArray(documents) || documents.length === 0) throw wrong(`"documents" must be an array of texts`);
  const bad = documents.findIndex((document) => typeof document !== "string" || document.trim() === "");
  if (bad >= 0) throw wrong(`document ${bad + 1} must be a text that is not empty`);
  if (instruct !== undefined && typeof instruct !== "string") throw wrong(`"instruct" must be a text`);
  return {
    query,
    documents: documents as string[],
    ...present({
      relevance: relevance === undefined ? undefined : parseRelevance(relevance, documents.length, wrong),
      instruct,
    }),
  };
}

/** Largest grade: gains are 2^grade − 1. */
const MAX_GRADE = 30;

function parseRelevance(value: unknown, documents: number, wrong: Wrong): number[] {
  if (!Array.isArray(value) || value.length !== documents) {
    const got = Array.isArray(value) ? `${value.length}` : "no array";
    throw wrong(`"relevance" must have one number per document, ${documents} of them, got ${got}`);
  }
  const bad = value.findIndex((grade) => typeof grade !== "number" || !(grade >= 0 && grade <= MAX_GRADE));
  if (bad >= 0) throw wrong(`relevance ${bad + 1} must be a number from 0 to ${MAX_GRADE}`);
  return value as number[];
}
