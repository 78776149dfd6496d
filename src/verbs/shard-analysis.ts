/** The analysis that a campaign goes by: given, or made by the planner. */
import type { Analysis } from "../analyze/analysis.ts";
import { analyzeCached } from "../analyze/analysis-cache.ts";
import type { Bench } from "../bench.ts";
import { hashFile } from "../disk/file-hash.ts";
import { FormatError, UsageError } from "../errors.ts";
import type { OpenModel } from "../gguf/model.ts";
import { readImatrix } from "../imatrix/imatrix.ts";
import type { CampaignRequest } from "../shard/campaign.ts";
import { analysisInput } from "../shard/campaign-analysis.ts";
import { loadAnalysis } from "./load-document.ts";
import type { StageRequest } from "./shard-stages.ts";

export interface AskedAnalysis {
  /** The importance matrix that it counts with. */
  readonly imatrix: string | undefined;
  /** Throws FormatError where the one that is given is of another model. */
  check(source: OpenModel): void;
  of(source: OpenModel, bench: Bench): Promise<{ analysis: Analysis; inputs: CampaignRequest["inputs"] }>;
}

/** Throws UsageError where it was made with another importance matrix than the campaign is to have. */
export async function askAnalysis({
  analysis: path,
  imatrix: asked,
}: Pick<StageRequest, "analysis" | "imatrix">): Promise<AskedAnalysis> {
  const given = path === undefined ? undefined : await loadAnalysis(path);
  const imatrix = asked ?? given?.imatrix?.path;
  if (given !== undefined) await checkImatrixOf(given, path as string, imatrix);
  return {
    imatrix,
    check({ model, path: name }) {
      if (given === undefined || given.model.headerHash === model.headerHash) return;
      throw new FormatError(path as string, `is the analysis of another model than ${name}; analyze this one`);
    },
    async of(source, bench) {
      const analysis = given ?? (await analysisOf(source, imatrix, bench));
      return { analysis, inputs: { ...analysisInput(analysis, path ?? source.path), imatrix } };
    },
  };
}

/** Distortions and what is measured are weighed alike. */
async function checkImatrixOf({ imatrix }: Analysis, path: string, given: string | undefined): Promise<void> {
  const sha256 = given === undefined ? undefined : await hashFile(given);
  if (sha256 === imatrix?.sha256) return;
  const made = imatrix === undefined ? "without an importance matrix" : `with ${imatrix.path}`;
  throw new UsageError(
    `${path} was made ${made}, and --imatrix is ${given === undefined ? "none" : `${given}, another`}; analyze the model with the one that is to count`,
  );
}

async function analysisOf(source: OpenModel, imatrix: string | undefined, bench: Bench): Promise<Analysis> {
  return analyzeCached(source, { imatrix: imatrix === undefined ? undefined : await readImatrix(imatrix) }, bench);
}
