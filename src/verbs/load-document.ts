/** The JSON documents a command starts from, and telling them from models. */
import { ANALYSIS, type Analysis } from "../analyze/analysis.ts";
import { readAnalysis } from "../analyze/analysis-document.ts";
import { readDocumentText } from "../documents/document-file.ts";
import { readHead } from "../documents/whole-file.ts";
import { FormatError } from "../errors.ts";
import { PLAN, type Plan } from "../plan/plan.ts";
import { type PublishedRecipe, RECIPE, readRecipe } from "../plan/published-recipe.ts";
import { readPlan } from "../plan/read-plan.ts";

/** Bytes in which a JSON document shows its first brace. */
const HEAD_BYTES = 64;

/** Read a plan. Throws FileError, FormatError. */
export async function loadPlan(path: string): Promise<Plan> {
  const document = await loadPlanOrRecipe(path);
  if (document.schema === "prism.plan/1") return document;
  throw new FormatError(path, `is a published recipe, expected a plan; prism plan MODEL --template ${path} makes one`);
}

/** Read a plan or a published recipe, whichever it is. Throws FileError, FormatError. */
export async function loadPlanOrRecipe(path: string): Promise<Plan | PublishedRecipe> {
  await refuseModel(path, "a plan", "prism plan makes one from it");
  const text = await readDocumentText(path, PLAN);
  return startsAs(text, RECIPE.id) ? readRecipe(text, path) : readPlan(text, path);
}

/** Read an analysis. Throws FileError, FormatError. */
export async function loadAnalysis(path: string): Promise<Analysis> {
  const text = await readDocumentText(path, ANALYSIS);
  if (startsAs(text, PLAN.id)) {
    throw new FormatError(path, `is a plan already; show it with prism show, or price it anew with --from ${path}`);
  }
  if (startsAs(text, RECIPE.id)) {
    throw new FormatError(path, `is a published recipe; apply it to a model with prism plan MODEL --template ${path}`);
  }
  return readAnalysis(text, path);
}

/** Whether the file looks like JSON rather than like a model. False where it can't be read. */
export async function isJson(path: string): Promise<boolean> {
  const head = await readHead(path, HEAD_BYTES).catch(() => Buffer.alloc(0));
  return /^(\xef\xbb\xbf)?\s*\{/.test(head.toString("latin1"));
}

/** Whether a document names this schema at its beginning, where PRISM writes it. */
function startsAs(text: string, schema: string): boolean {
  return text.slice(0, 200).includes(`"${schema}"`);
}

async function refuseModel(path: string, expected: string, remedy: string): Promise<void> {
  const head = await readHead(path, HEAD_BYTES);
  if (head.toString("latin1").startsWith("GGUF"))
    throw new FormatError(path, `is a model, expected ${expected}; ${remedy}`);
}
