/** The model of a run and what it was asked, checked before any work: all that can be refused is refused here. */
import type { Bench } from "../bench.ts";
import { ineligibleReason } from "../ggml/eligibility.ts";
import { identityOf } from "../gguf/identity.ts";
import type { OpenModel } from "../gguf/model.ts";
import type { Imatrix } from "../imatrix/imatrix.ts";
import { type CheckRequest, checkedModel } from "../intake/checked-model.ts";
import { describeAsked } from "./asked.ts";
import { checkBaselines } from "./baselines.ts";
import { chooseMeasures, type Measures } from "./measures.ts";
import type { RunAsked } from "./run-document.ts";
import type { CompleteRunRequest } from "./run-request.ts";

export interface RunSource {
  /** Open as long as the run lasts. */
  readonly model: OpenModel;
  readonly imatrix: Imatrix | undefined;
  readonly asked: RunAsked;
  readonly measures: Measures;
  /** Weights of each tensor that is quantized. */
  readonly weights: readonly number[];
  /** What preflight finds to be wrong. */
  readonly warnings: readonly string[];
}

/** Throws FileError, FormatError and UsageError: a damaged or quantized model, another model's imatrix, a baseline that can't be. */
export async function openSource(path: string, request: CompleteRunRequest, bench: Bench): Promise<RunSource> {
  const { model: open, imatrix, warnings } = await checkedModel(path, checksOf(request), bench);
  try {
    const { model, facts } = open;
    checkBaselines(request.baselines, model, facts, imatrix);
    const measures = chooseMeasures(model, bench.engine, request);
    return {
      model: open,
      imatrix,
      asked: await describeAsked(path, request, await identityOf(open, bench), imatrix?.sha256, bench),
      measures,
      weights: model.tensors.filter((tensor) => ineligibleReason(tensor) === undefined).map(({ elements }) => elements),
      warnings: [...warnings, ...(measures.warnings ?? [])],
    };
  } catch (error) {
    await open.close();
    throw error;
  }
}

/** A pin may ask for smaller types than a plan would choose: then no budget is impossible. */
function checksOf({
  strict,
  imatrix,
  allowRequantize,
  constraints,
  sweep = [],
  target,
  budget,
}: CompleteRunRequest): CheckRequest {
  const pinned = constraints.some(({ kind }) => kind === "pin");
  const budgets = pinned ? [] : [...sweep, ...(target === undefined ? [budget] : [])];
  return { strict, imatrix, budgets, quantize: { allowRequantize }, evaluate: true };
}
