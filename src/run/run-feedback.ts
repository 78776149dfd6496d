/** The file with codes chosen by error feedback, in types planned for them: whether a run makes it, and as what. */
import type { Bench } from "../bench.ts";
import { hasNativeKernels } from "../engine/engine.ts";
import { UsageError } from "../errors.ts";
import { AUTO_FEEDBACK_WEIGHTS, describeOutcome, feedbackSpec } from "../feedback/feedback.ts";
import type { OpenModel } from "../gguf/model.ts";
import type { Plan } from "../plan/plan.ts";
import { planSpec } from "../quantize/plan-spec.ts";
import type { Candidate } from "./candidates.ts";
import { KEPT_SLUGS } from "./kept-slugs.ts";
import type { OpenRun } from "./open-run.ts";
import type { RunRequest } from "./run-request.ts";

/** The label of its row. */
export const FEEDBACK_LABEL = "plan, error feedback";

/** Whether it is made. A note says why not, where it was not declined. Throws UsageError where it is asked for and can't be had. */
export function makesFeedback(
  { model }: Pick<OpenModel, "model">,
  { feedback, calibration = [] }: Pick<RunRequest, "feedback" | "calibration">,
  { engine, progress }: Pick<Bench, "engine" | "progress">,
): boolean {
  if (feedback === "off") return false;
  const asked = feedback === "on" || calibration.length > 0;
  if (engine.programs !== undefined) {
    const why = "llama.cpp's programs tell nothing of a model's inputs; leave --llama-dir out for it";
    if (asked) throw new UsageError(`--feedback: ${why}`);
    progress.note(`no error feedback: ${why}`);
    return false;
  }
  if (!asked && !hasNativeKernels(engine.info)) {
    progress.note(
      "no error feedback: without the native kernels it takes very long (prism doctor); --feedback on makes it",
    );
    return false;
  }
  const weights = model.tensors.reduce((sum, { elements }) => sum + elements, 0);
  if (asked || weights <= AUTO_FEEDBACK_WEIGHTS) return true;
  progress.note(
    `no error feedback: the model has more than ${AUTO_FEEDBACK_WEIGHTS / 1e9} billion weights, and it would take long; --feedback on makes it`,
  );
  return false;
}

export function feedbackCandidate(
  { request, source, directory, bench }: OpenRun,
  plan: Plan,
  slug: string = KEPT_SLUGS.feedback,
  label: string = FEEDBACK_LABEL,
): Candidate {
  const stock = planSpec(plan, directory.model(slug), source.imatrix);
  const { context, calibration } = request;
  const { spec } = feedbackSpec(source.model, plan, stock, { context, calibration }, bench, (outcome) =>
    bench.progress.note(describeOutcome(outcome)),
  );
  return { label, kind: "feedback", slug, spec, plan };
}
