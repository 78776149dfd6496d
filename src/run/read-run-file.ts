/** The documents a run keeps in its directory: what is wrong with one is said with what to do about it there. */
import { ANALYSIS, type Analysis } from "../analyze/analysis.ts";
import { readAnalysis } from "../analyze/analysis-document.ts";
import { readDocumentText } from "../documents/document-file.ts";
import type { DocumentKind } from "../documents/document-kind.ts";
import { FileError, FormatError } from "../errors.ts";
import { EVALUATION } from "../evaluate/evaluation.ts";
import type { Model } from "../gguf/model.ts";
import { PLAN, type Plan } from "../plan/plan.ts";
import { readPlan } from "../plan/read-plan.ts";
import { type Ranking, readRanking } from "../rerank/ranking-document.ts";
import { DENSITIES, type DensityDocument, parseDensities } from "../sensitivity/density-document.ts";

/** What a file of a run's directory is read as. */
export interface RunFile<Document> {
  readonly kind: DocumentKind;
  readonly read: (text: string, path: string) => Document;
  /** The header's hash of the model it is of, where it says it. */
  headerOf?(document: Document): string | undefined;
  /** In a run's directory, instead of the kind's own. */
  readonly remedy: string;
}

/** Read a document of a run; of the run of `model` only, where one is given. Throws FileError, FormatError. */
export async function readRunFile<Document>(
  path: string,
  { kind, read, headerOf, remedy }: RunFile<Document>,
  model?: Pick<Model, "path" | "headerHash">,
): Promise<Document> {
  try {
    const document = read(await readDocumentText(path, { ...kind, remedy }), path);
    if (model === undefined || (headerOf?.(document) ?? model.headerHash) === model.headerHash) return document;
    throw new FormatError(path, `is of another model than ${model.path}`);
  } catch (error) {
    if (isMissing(error)) throw new FileError(path, `is gone, and the run goes by it; ${remedy}`, { cause: error });
    if (!(error instanceof FormatError)) throw error;
    const what = error.message.slice(`${path}: `.length).replace(`; ${kind.remedy}`, "").replace(`; ${remedy}`, "");
    throw new FormatError(path, `${what}; ${remedy}`, { cause: error });
  }
}

function isMissing(error: unknown): boolean {
  return error instanceof FileError && (error.cause as NodeJS.ErrnoException | undefined)?.code === "ENOENT";
}

/** What is made from the same measurements again. */
const REMADE = "delete it, and the same prism run makes it again";

export const RUN_ANALYSIS: RunFile<Analysis> = {
  kind: ANALYSIS,
  read: readAnalysis,
  headerOf: ({ model }) => model.headerHash,
  remedy: REMADE,
};

export const RUN_PLAN: RunFile<Plan> = { kind: PLAN, read: readPlan, remedy: REMADE };

export const RUN_PROBES: RunFile<DensityDocument> = {
  kind: DENSITIES,
  read: (text, path) => parseDensities(path, text),
  headerOf: ({ model }) => model?.headerHash,
  remedy: "prism run with --force starts the run anew",
};

export const RUN_RANKING: RunFile<Ranking | undefined> = {
  kind: EVALUATION,
  read: readRanking,
  remedy: "delete it, and reports leave it out; or prism run with --force starts the run anew",
};
