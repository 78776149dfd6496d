/** What is asked of error feedback in a campaign: its text, and what it leaves of each distortion. */
import type { Bench } from "../bench.ts";
import { requireLocal } from "../bytes/remote-name.ts";
import { calibrationFiles, OWN_TEXT } from "../feedback/calibration-text.ts";
import { checkFeedbackChoice } from "../feedback/check-calibration.ts";
import { calibrationOfParts } from "../feedback/part-inputs.ts";
import type { OpenModel } from "../gguf/model.ts";
import type { CampaignRequest } from "../shard/campaign.ts";
import { type CalibrationOptions, OWN_INPUT } from "../shard/campaign-calibration.ts";
import { idsInput } from "../shard/campaign-tokens.ts";
import { askAnalysis } from "./shard-analysis.ts";
import type { AskedStage, StageRequest } from "./shard-stages.ts";

export async function askFeedback(request: StageRequest): Promise<AskedStage> {
  const known = await askAnalysis(request);
  return {
    stage: "feedback",
    checks: { imatrix: known.imatrix },
    async prepare(source, bench) {
      known.check(source);
      const text = await placeCalibration(source, request.calibration, bench);
      const { inputs } = await known.of(source, bench);
      return { options: text.options, inputs: { ...inputs, ...text.inputs } };
    },
  };
}

/** The text goes into the campaign: files by number, and what the model writes, sampled now. Refuses text as one machine does. */
export async function placeCalibration(
  source: OpenModel,
  calibration: readonly string[] = [],
  bench: Bench,
): Promise<{ readonly options: CalibrationOptions; readonly inputs: CampaignRequest["inputs"] }> {
  checkFeedbackChoice({ feedback: true, calibration }, bench);
  requireLocal(source.path, "leave feedback out: it decodes text with all of the model");
  const files = Object.fromEntries(calibrationFiles(calibration).map((file, at) => [`calibration-${at}`, file]));
  const names = [...Object.keys(files), ...(calibration.includes(OWN_TEXT) ? [OWN_TEXT] : [])];
  const own = await calibrationOfParts(source, { calibration }, bench);
  const sampled = own && idsInput(own, "sampled from the model");
  return { options: { calibration: names }, inputs: { ...files, [OWN_INPUT]: sampled } };
}
