/**
 * Two plans, really quantized, on the same chunks: the refined one is kept only where it is surely better. A first look at
 * a few chunks ends the trial where it is plain already; its bound is wider, so that looking twice deceives nobody.
 */
import type { Bench } from "../bench.ts";
import type { EngineImatrix, EvaluationTokens } from "../engine/engine.ts";
import type { MeanSe } from "../evaluate/evaluation.ts";
import { loadModel } from "../evaluate/load-model.ts";
import { scoreFile } from "../evaluate/score-file.ts";
import { meanSe, pairedDifference } from "../evaluate/statistics.ts";
import type { OpenModel } from "../gguf/model.ts";
import type { Plan } from "../plan/plan.ts";
import { planSpec } from "../quantize/plan-spec.ts";
import { compareTails, type Tails } from "./compare-tails.ts";
import type { Comparison } from "./meter.ts";
import type { ProbeSite } from "./probe-site.ts";
import { cutChunks } from "./probe-text.ts";

/** Chunks of the first look, and the standard errors by which it must be plain. */
export const FIRST_LOOK = { chunks: 16, standardErrors: 3.5 } as const;

/** What a refined plan may not make worse for a lower mean. */
export const PROBE_GUARDS = ["p99"] as const;
export type ProbeGuard = (typeof PROBE_GUARDS)[number];

export interface Tried {
  readonly chunks: number;
  /** Mean KLD, nats; "refined" is the plan that is to take the other's place. */
  readonly unrefinedKld: number;
  readonly refinedKld: number;
  /** Refined minus unrefined, paired over the chunks. */
  readonly difference: MeanSe;
  readonly p99: Tails;
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
  /** The tail is looked at too: a plan that is plainly better is scored on all chunks all the same. */
  readonly guard?: ProbeGuard | undefined;
}

/** Quantize and score both. The files stay. */
export async function tryPlans(source: OpenModel, request: TrialRequest, bench: Bench): Promise<Tried> {
  const all = request.site.text.trial;
  const looks = [cutChunks(all, 0, FIRST_LOOK.chunks), cutChunks(all, FIRST_LOOK.chunks, all.chunks)];
  const before: Float64Array[] = [];
  const after: Float64Array[] = [];
  for (const tokens of looks.filter(({ chunks }) => chunks > 0)) {
    const isMade = before.length > 0;
    before.push(...(await scorePlan(source, request, { ...request.unrefined, isMade }, tokens, bench)));
    after.push(...(await scorePlan(source, request, { ...request.refined, isMade }, tokens, bench)));
    const { value, se } = pairedDifference(after.map(mean), before.map(mean));
    if (Math.abs(value) > FIRST_LOOK.standardErrors * se && (request.guard === undefined || value > 0)) break;
  }
  return {
    chunks: before.length,
    unrefinedKld: meanSe(before.map(mean)).value,
    refinedKld: meanSe(after.map(mean)).value,
    difference: pairedDifference(after.map(mean), before.map(mean)),
    p99: compareTails(before, after),
  };
}

async function scorePlan(
  source: OpenModel,
  { site, imatrix, allowRequantize }: TrialRequest,
  { plan, output, isMade }: TriedPlan & { readonly isMade: boolean },
  tokens: EvaluationTokens,
  bench: Bench,
): Promise<Float64Array[]> {
  const file = { spec: planSpec(plan, output, imatrix), keep: true, isMade, allowRequantize };
  const reference = await site.refer(tokens);
  return scoreFile(source, file, ({ path }) => measureFile(path, tokens, reference, bench), bench);
}

/** Of each chunk its parts. */
async function measureFile(
  path: string,
  tokens: EvaluationTokens,
  reference: Comparison,
  bench: Bench,
): Promise<Float64Array[]> {
  const { signal, progress } = bench;
  const model = await loadModel(path, tokens, bench);
  const measured: Float64Array[] = [];
  try {
    for (let first = 0; first < tokens.chunks; first += model.chunksPerBatch) {
      const count = Math.min(model.chunksPerBatch, tokens.chunks - first);
      const parts = await reference.measure(model, { first, count }, signal);
      const each = parts.length / count;
      for (let chunk = 0; chunk < count; chunk++) measured.push(parts.subarray(chunk * each, (chunk + 1) * each));
      progress.steps("trying the plans", first + count, tokens.chunks);
    }
    return measured;
  } finally {
    await model.close();
  }
}

function mean(tokens: Float64Array): number {
  return meanSe(tokens).value;
}
