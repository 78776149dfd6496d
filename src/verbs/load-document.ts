/** The JSON documents a command starts from, and telling them from models. */
import { open, readFile } from "node:fs/promises";
import type { Analysis } from "../analyze/analysis.ts";
import { readAnalysis } from "../analyze/analysis-document.ts";
import { FileError, FormatError } from "../errors.ts";
import { PLAN_SCHEMA, type Plan } from "../plan/plan.ts";
import { type PublishedRecipe, RECIPE_SCHEMA, readRecipe } from "../plan/published-recipe.ts";
import { readPlan } from "../plan/read-plan.ts";

/** Bytes of the longest JSON document that is read. */
const MAX_DOCUMENT_BYTES = 512 * 2 ** 20;

/** Bytes in which a JSON document shows its first brace. */
const HEAD_BYTES = 64;

/** Read a plan. Throws FileError, FormatError. */
export async function loadPlan(path: string): Promise<Plan> {
  const document = await loadPlanOrRecipe(path);
  if (document.schema === PLAN_SCHEMA) return document;
  throw new FormatError(path, `is a published recipe, expected a plan; prism plan MODEL --recipe ${path} makes one`);
}

/** Read a plan or a published recipe, whichever it is. Throws FileError, FormatError. */
export async function loadPlanOrRecipe(path: string): Promise<Plan | PublishedRecipe> {
  await refuseModel(path, "a plan", "prism plan makes one from it");
  const text = await readText(path);
  return startsAs(text, RECIPE_SCHEMA) ? readRecipe(text, path) : readPlan(text, path);
}

/** Read a published recipe. Throws FileError, FormatError. */
export async function loadRecipe(path: string): Promise<PublishedRecipe> {
  await refuseModel(path, "a published recipe", "give one of plans/*-prism-dq.json");
  return readRecipe(await readText(path), path);
}

/** Read an analysis. Throws FileError, FormatError. */
export async function loadAnalysis(path: string): Promise<Analysis> {
  const text = await readText(path);
  if (startsAs(text, PLAN_SCHEMA)) {
    throw new FormatError(path, `is a plan already; show it with prism show, or price it anew with --from ${path}`);
  }
  if (startsAs(text, RECIPE_SCHEMA)) {
    throw new FormatError(path, `is a published recipe; apply it to a model with prism plan MODEL --recipe ${path}`);
  }
  return readAnalysis(text, path);
}

/** Whether the file looks like JSON rather than like a model. False where it can't be read. */
export async function isJson(path: string): Promise<boolean> {
  const head = await readHead(path).catch(() => "");
  return head.trimStart().startsWith("{");
}

/** Read a text file. Throws FileError. */
export async function readText(path: string): Promise<string> {
  try {
    const text = await readFile(path);
    if (text.length > MAX_DOCUMENT_BYTES) {
      throw new FileError(path, `has ${text.length} bytes, too many for a JSON document`);
    }
    return text.toString("utf8");
  } catch (error) {
    throw readError(path, error);
  }
}

/** Whether a document names this schema at its beginning, where PRISM writes it. */
function startsAs(text: string, schema: string): boolean {
  return text.slice(0, 200).includes(`"${schema}"`);
}

async function refuseModel(path: string, expected: string, remedy: string): Promise<void> {
  const head = await readHead(path).catch((error: unknown) => {
    throw readError(path, error);
  });
  if (head.startsWith("GGUF")) throw new FormatError(path, `is a model, expected ${expected}; ${remedy}`);
}

async function readHead(path: string): Promise<string> {
  const handle = await open(path, "r");
  try {
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(HEAD_BYTES), 0, HEAD_BYTES, 0);
    return buffer.toString("latin1", 0, bytesRead);
  } finally {
    await handle.close();
  }
}

const REASONS: Readonly<Record<string, string>> = {
  ENOENT: "no such file; check the path",
  EISDIR: "is a folder; name a file in it",
  EACCES: "no permission to read it",
  EPERM: "no permission to read it",
  ERR_FS_FILE_TOO_LARGE: "is too large for a JSON document",
};

function readError(path: string, error: unknown): unknown {
  if (error instanceof FileError) return error;
  const { code = "", message } = error as NodeJS.ErrnoException;
  return new FileError(path, REASONS[code] ?? message, { cause: error });
}
