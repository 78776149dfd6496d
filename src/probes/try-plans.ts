/** Two plans, really quantized, on the same chunks: the refined one is kept only where it is surely better. */
import type { Bench } from "../bench.ts";
import type { EngineImatrix } from "../engine/engine.ts";
import type { MeanSe } from "../evaluate/evaluation.ts";
import { scoreFile, scoreTokens } from "../evaluate/score-file.ts";
import { chunkMeans, meanSe, pairedDifference } from "../evaluate/statistics.ts";
import type { OpenModel } from "../gguf/model.ts";
import type { Plan } from "../plan/plan.ts";
import { planSpec } from "../quantize/plan-spec.ts";
import type { ProbeSite } from "./probe-site.ts";

export interface Tried {
  readonly chunks: number;
  /** Mean KLD, nats. */
  readonly unrefinedKld: number;
  readonly refinedKld: number;
  /** Refined minus unrefined, paired over the chunks. */
  readonly difference: MeanSe;
}

export interface TriedPlan {
  readonly plan: Plan;
  /** Where its model is written. */
  readonly output: string;
}

export interface TrialRequest {
  readonly site: ProbeSite;
  readonly unrefined: TriedPlan;
  readonly refined: TriedPlan;
  readonly imatrix?: EngineImatrix | undefined;
  readonly allowRequantize?: boolean | undefined;
}

/** Quantize and score both. The files stay. */
export async function tryPlans(source: OpenModel, request: TrialRequest, bench: Bench): Promise<Tried> {
  const before = await scorePlan(source, request, request.unrefined, bench);
  const after = await scorePlan(source, request, request.refined, bench);
  return {
    chunks: request.site.text.trial.chunks,
    unrefinedKld: meanSe(before).value,
    refinedKld: meanSe(after).value,
    difference: pairedDifference(after, before),
  };
}

async function scorePlan(
  source: OpenModel,
  { site, imatrix, allowRequantize }: TrialRequest,
  { plan, output }: TriedPlan,
  bench: Bench,
): Promise<number[]> {
  const tokens = site.text.trial;
  const file = { spec: planSpec(plan, output, imatrix), keep: true, allowRequantize };
  const score = async (model: OpenModel) =>
    scoreTokens(model, tokens, await site.refer(tokens), "trying the plans", bench);
  const { kld } = await scoreFile(source, file, score, bench);
  return chunkMeans(kld ?? new Float64Array(), tokens.chunks);
}
