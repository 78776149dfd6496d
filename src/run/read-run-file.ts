/** The documents a run keeps in its directory: what is wrong with one is said with what to do about it there. */
import { ANALYSIS, type Analysis } from "../analyze/analysis.ts";
import { readAnalysis } from "../analyze/analysis-document.ts";
import { readDocumentText } from "../documents/document-file.ts";
import type { DocumentKind } from "../documents/document-kind.ts";
import { FormatError } from "../errors.ts";
import { EVALUATION } from "../evaluate/evaluation.ts";
import { PLAN, type Plan } from "../plan/plan.ts";
import { readPlan } from "../plan/read-plan.ts";
import { type Ranking, readRanking } from "../rerank/ranking-document.ts";
import { DENSITIES, type DensityDocument, parseDensities } from "../sensitivity/density-document.ts";

/** What a file of a run's directory is read as. */
export interface RunFile<Document> {
  readonly kind: DocumentKind;
  readonly read: (text: string, path: string) => Document;
  /** In a run's directory, instead of the kind's own. */
  readonly remedy: string;
}

/** Read a document of a run. Throws FileError, FormatError. */
export async function readRunFile<Document>(
  path: string,
  { kind, read, remedy }: RunFile<Document>,
): Promise<Document> {
  try {
    return read(await readDocumentText(path, { ...kind, remedy }), path);
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    const what = error.message.slice(`${path}: `.length).replace(`; ${kind.remedy}`, "").replace(`; ${remedy}`, "");
    throw new FormatError(path, `${what}; ${remedy}`, { cause: error });
  }
}

export const RUN_ANALYSIS: RunFile<Analysis> = {
  kind: ANALYSIS,
  read: readAnalysis,
  remedy: "delete it, and the same prism run makes it again",
};

export const RUN_PLAN: RunFile<Plan> = { ...RUN_ANALYSIS, kind: PLAN, read: readPlan };

export const RUN_PROBES: RunFile<DensityDocument> = {
  kind: DENSITIES,
  read: (text, path) => parseDensities(path, text),
  remedy: "prism run with --force starts the run anew",
};

export const RUN_RANKING: RunFile<Ranking | undefined> = {
  kind: EVALUATION,
  read: readRanking,
  remedy: "delete it, and reports leave it out; or prism run with --force starts the run anew",
};
