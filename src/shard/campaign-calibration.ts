/** The text of a campaign that the inputs of weights are summed over: files, and what the model wrote, sampled once. */
import type { Content } from "../documents/fields.ts";
import * as t from "../documents/fields.ts";
import { FormatError } from "../errors.ts";
import { chooseContext } from "../evaluate/evaluate-options.ts";
import { OWN_TEXT } from "../feedback/calibration-text.ts";
import type { FeedbackRequest } from "../feedback/over-inputs.ts";
import { inputPath } from "./campaign.ts";
import { readIdsInput } from "./campaign-tokens.ts";
import type { CampaignPlace } from "./stage.ts";

export const CALIBRATION_OPTIONS = t.object({
  calibration: t.list(t.name("An input of the campaign, or own: what the model writes.")),
});
export type CalibrationOptions = Content<typeof CALIBRATION_OPTIONS>;

/** The input with what the model wrote, as 32-bit ids. */
export const OWN_INPUT = "own-text";

/** What error feedback is asked in a campaign. */
export async function campaignCalibration(
  place: CampaignPlace,
  { calibration }: CalibrationOptions,
): Promise<FeedbackRequest> {
  const texts: string[] = [];
  for (const name of calibration) texts.push(name === OWN_TEXT ? name : await pathOf(place, name));
  return { calibration: texts, own: await ownIds(place) };
}

async function pathOf({ directory, campaign }: CampaignPlace, name: string): Promise<string> {
  const input = campaign.inputs.find((one) => one.name === name);
  if (input !== undefined) return inputPath(directory, input);
  throw new FormatError("campaign.json", `names a text ${name} that it has not; make it again`);
}

async function ownIds({ directory, campaign, source }: CampaignPlace): Promise<Int32Array | undefined> {
  const input = campaign.inputs.find(({ name }) => name === OWN_INPUT);
  return input && readIdsInput(directory, input, chooseContext(undefined, source.facts.contextTrain));
}
