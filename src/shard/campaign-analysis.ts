/** The analysis of the model that a campaign goes by. */
import type { Analysis } from "../analyze/analysis.ts";
import { readAnalysis } from "../analyze/analysis-document.ts";
import { readDocumentText } from "../documents/document-file.ts";
import { FormatError } from "../errors.ts";
import { inputPath, type MadeInput } from "./campaign.ts";
import type { CampaignPlace } from "./stage.ts";

const INPUT = "analysis";

/** What goes into the campaign; `path` is where it came from. */
export function analysisInput(analysis: Analysis, path: string): { readonly [INPUT]: MadeInput } {
  return { [INPUT]: { content: new TextEncoder().encode(JSON.stringify(analysis)), path } };
}

export async function campaignAnalysis({ directory, campaign }: Omit<CampaignPlace, "source">): Promise<Analysis> {
  const input = campaign.inputs.find(({ name }) => name === INPUT);
  if (input === undefined) throw new FormatError("campaign.json", "the campaign has no analysis; make it again");
  const path = await inputPath(directory, input);
  return readAnalysis(await readDocumentText(path), path);
}
