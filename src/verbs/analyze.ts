/** A model → its Analysis: checked first, measured, or found in the cache. */
import type { Analysis } from "../analyze/analysis.ts";
import { analyzeCached } from "../analyze/analysis-cache.ts";
import type { Bench } from "../bench.ts";
import { requireLocal } from "../bytes/remote-name.ts";
import { checkCalibration, checkFeedbackChoice } from "../feedback/check-calibration.ts";
import { measureFeedback } from "../feedback/feedback-gains.ts";
import type { TensorType } from "../ggml/tensor-types.ts";
import { type CheckRequest, checkedModel, noteWarnings } from "../intake/checked-model.ts";
import { noteTraffic } from "../intake/open-named-model.ts";
import { type Exact, exactOf } from "./planning-request.ts";

export interface AnalyzeModelRequest extends Pick<CheckRequest, "strict" | "forceFindings" | "imatrix" | "budgets"> {
  readonly exact?: Exact | undefined;
  /** Types to measure beside the candidates, where a tensor can take them. */
  readonly types?: readonly TensorType[] | undefined;
  /** Relative standard error of the distortion to sample until. */
  readonly targetRelativeSe?: number | undefined;
  /** Measure what error feedback leaves of each distortion too. */
  readonly feedback?: boolean | undefined;
  /** Text it is calibrated on, a file a kind; by default what the model writes and the text that comes with PRISM. */
  readonly calibration?: readonly string[] | undefined;
}

/** Analyze the model `path` names. Everything that can be refused is refused before the work starts. */
export async function analyzeModel(path: string, request: AnalyzeModelRequest, bench: Bench): Promise<Analysis> {
  checkFeedbackChoice(request, bench);
  if (request.feedback === true) requireLocal(path, "leave --feedback out: it decodes text with all of the model");
  const checked = await checkedModel(path, request, bench);
  const { model, imatrix, traffic } = checked;
  try {
    noteWarnings(checked, bench);
    if (request.feedback === true) await checkCalibration(model, request, bench);
    const { progress } = bench;
    const steps = (what: string, done: number, total: number, latest?: string) =>
      progress.steps(what, done, total, [traffic() ?? [], latest ?? []].flat().join(", "));
    const { targetRelativeSe, feedback, calibration, types } = request;
    const asked = { imatrix, targetRelativeSe, types, ...exactOf(request.exact) };
    const analysis = await analyzeCached(model, asked, { ...bench, progress: { ...progress, steps } });
    noteTraffic(checked, bench);
    return feedback === true ? await measureFeedback(model, analysis, { imatrix, calibration }, bench) : analysis;
  } finally {
    await model.close();
  }
}
