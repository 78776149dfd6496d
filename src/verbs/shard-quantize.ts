/** What the file of a plan is asked in a campaign. */
import { UsageError } from "../errors.ts";
import { checkFeedbackChoice } from "../feedback/check-calibration.ts";
import { noteFeedback } from "../feedback/feedback.ts";
import { present } from "../present.ts";
import { planImatrix } from "../quantize/plan-spec.ts";
import { parseSplitSize } from "../quantize/split-file.ts";
import type { QuantizeOptions } from "../shard/stages/quantize.ts";
import { loadPlan } from "./load-document.ts";
import { placeCalibration } from "./shard-feedback.ts";
import type { AskedStage, StageRequest } from "./shard-stages.ts";

/** Throws UsageError without a plan; FileError, FormatError for one that can't be read. */
export async function askQuantize({
  plan: path,
  imatrix,
  splitMaxSize,
  keepSplit = false,
  allowRequantize = false,
  feedback = false,
  calibration,
}: StageRequest): Promise<AskedStage> {
  if (path === undefined) {
    throw new UsageError("--stage quantize: name the plan of the file with --plan plan.json (prism plan makes it)");
  }
  const plan = await loadPlan(path);
  const typeOf = new Map(plan.tensors.map(({ name, type }) => [name, type]));
  const options: QuantizeOptions = {
    types: Object.fromEntries(typeOf),
    allowRequantize,
    keepSplit,
    ...present({ splitMaxBytes: parseSplitSize(splitMaxSize) }),
  };
  return {
    stage: "quantize",
    async prepare(source, bench) {
      await planImatrix(plan, source, imatrix);
      checkFeedbackChoice({ feedback, calibration }, bench);
      noteFeedback(plan, feedback, bench);
      const inputs = { plan: path, imatrix: imatrix ?? plan.imatrix?.path };
      if (!feedback) return { options, inputs };
      const text = await placeCalibration(source, calibration, bench);
      return { options: { ...options, feedback: text.options }, inputs: { ...inputs, ...text.inputs } };
    },
    checks: {
      ignored: ["already-quantized"],
      quantize: { byTensors: true, allowRequantize, types: typeOf, headerHash: plan.source.headerHash },
    },
  };
}
