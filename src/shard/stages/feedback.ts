/**
 * What error feedback leaves of each distortion, by whole layers: the analysis of `prism analyze --feedback` on one machine.
 * A unit is a pass of the model over the text, whose inputs are summed for its layers alone.
 */
import type { Analysis } from "../../analyze/analysis.ts";
import { measurableTensors } from "../../analyze/analyze.ts";
import { writeFileAside } from "../../disk/aside-file.ts";
import type { Content } from "../../documents/fields.ts";
import * as t from "../../documents/fields.ts";
import type { FeedbackGain } from "../../engine/engine.ts";
import { gainCandidates, withGains } from "../../feedback/feedback-gains.ts";
import { openPartInputs } from "../../feedback/part-inputs.ts";
import { TENSOR_TYPE_NAMES } from "../../ggml/tensor-types.ts";
import { requireUnchanged } from "../../gguf/identity.ts";
import { requireContent } from "../campaign.ts";
import { campaignAnalysis } from "../campaign-analysis.ts";
import { CALIBRATION_OPTIONS, campaignCalibration } from "../campaign-calibration.ts";
import { layerGroups } from "../layer-groups.ts";
import type { ShardStage } from "../stage.ts";
import { campaignImatrix } from "./analysis.ts";

const UNIT = t.object({ tensors: t.list(t.name(), { minItems: 1 }) });

const GAIN = t.object({ name: t.name(), ratios: t.table(t.amount(), "By type.", TENSOR_TYPE_NAMES) });
const VALUE = t.object({
  text: t.text("What the inputs were of."),
  gains: t.list(GAIN, "In the order of the tensors; of experts several."),
});
type Value = Content<typeof VALUE>;

export const feedbackStage: ShardStage = {
  id: "feedback",
  method: 1,
  costPerSecond: 1e7,
  value: VALUE,
  name(of) {
    const { tensors } = requireContent(UNIT, of, "unit");
    const [first, last] = [tensors[0], tensors.at(-1)];
    return first === last ? `${first}` : `${first} to ${last}`;
  },
  units({ source: { model, fileBytes }, campaign: { jobs } }) {
    return layerGroups(measurableTensors(model), { fileBytes, jobs }).map((group) => ({
      of: { tensors: group.map(({ name }) => name) },
      // a pass of all weights over the text, and a search among the unit's own
      cost: fileBytes + group.reduce((sum, { bytes }) => sum + MEASURING * bytes, 0),
    }));
  },
  async open(place, bench) {
    const { source, campaign } = place;
    const options = requireContent(CALIBRATION_OPTIONS, campaign.options, "options");
    const candidates = gainCandidates(source, await campaignAnalysis(place), await campaignImatrix(place));
    const inputs = await openPartInputs(source, await campaignCalibration(place, options), bench);
    return {
      // all threads are at one batch
      width: 1,
      async measure(of): Promise<Value> {
        const names = new Set(requireContent(UNIT, of, "unit").tensors);
        const gains: FeedbackGain[] = [];
        const own = candidates.filter(({ name }) => names.has(name));
        await inputs.over(own, async ({ loaded, weights }) => {
          gains.push(...(await loaded.measureGains({ candidates: weights, signal: bench.signal })));
        });
        await requireUnchanged(source, bench);
        return { text: inputs.text, gains };
      },
      close: () => inputs.close(),
    };
  },
  async merge(place, values, output) {
    const made = values as readonly Value[];
    const text = made[0]?.text ?? "none";
    const gains = made.flatMap((value) => value.gains as readonly FeedbackGain[]);
    const analysis: Analysis = withGains(await campaignAnalysis(place), text, gains);
    await writeFileAside(output, `${JSON.stringify(analysis, null, 1)}\n`);
    return analysis;
  },
};

/** Of a weight that is searched, beside a pass over it, about. */
const MEASURING = 20;
