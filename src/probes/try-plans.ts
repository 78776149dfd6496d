/**
 * Two plans, really quantized, on the same chunks: the refined one is kept only where it is surely better. A first look at
 * a few chunks ends the trial where it is plain already; its bound is wider, so that looking twice deceives nobody.
 */
import type { Bench } from "../bench.ts";
import type { EngineImatrix, EvaluationTokens } from "../engine/engine.ts";
import type { MeanSe } from "../evaluate/evaluation.ts";
import { scoreFile, scoreTokens } from "../evaluate/score-file.ts";
import { chunkMeans, meanSe, pairedDifference } from "../evaluate/statistics.ts";
import type { OpenModel } from "../gguf/model.ts";
import type { Plan } from "../plan/plan.ts";
import { planSpec } from "../quantize/plan-spec.ts";
import type { ProbeSite } from "./probe-site.ts";
import { cutChunks } from "./probe-text.ts";

/** Chunks of the first look, and the standard errors by which it must be plain. */
export const FIRST_LOOK = { chunks: 16, standardErrors: 3.5 } as const;

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
  const all = request.site.text.trial;
  const looks = [cutChunks(all, 0, FIRST_LOOK.chunks), cutChunks(all, FIRST_LOOK.chunks, all.chunks)];
  const before: number[] = [];
  const after: number[] = [];
  for (const tokens of looks.filter(({ chunks }) => chunks > 0)) {
    const isMade = before.length > 0;
    before.push(...(await scorePlan(source, request, { ...request.unrefined, isMade }, tokens, bench)));
    after.push(...(await scorePlan(source, request, { ...request.refined, isMade }, tokens, bench)));
    const { value, se } = pairedDifference(after, before);
    if (Math.abs(value) > FIRST_LOOK.standardErrors * se) break;
  }
  return {
    chunks: before.length,
    unrefinedKld: meanSe(before).value,
    refinedKld: meanSe(after).value,
    difference: pairedDifference(after, before),
  };
}

async function scorePlan(
  source: OpenModel,
  { site, imatrix, allowRequantize }: TrialRequest,
  { plan, output, isMade }: TriedPlan & { readonly isMade: boolean },
  tokens: EvaluationTokens,
  bench: Bench,
): Promise<number[]> {
  const file = { spec: planSpec(plan, output, imatrix), keep: true, isMade, allowRequantize };
  const score = async (model: OpenModel) =>
    scoreTokens(model, tokens, await site.refer(tokens), "trying the plans", bench);
  const { kld } = await scoreFile(source, file, score, bench);
  return chunkMeans(kld ?? new Float64Array(), tokens.chunks);
}
