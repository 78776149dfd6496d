/** Two plans, really quantized, on the same chunks: the refined one is kept only where it is surely better. */
import type { EngineImatrix, LoadedModel } from "../engine/engine.ts";
import type { MeanSe } from "../evaluate/evaluation.ts";
import { scoreChunks } from "../evaluate/score-model.ts";
import { chunkMeans, meanSe, pairedDifference } from "../evaluate/statistics.ts";
import type { Plan } from "../plan/plan.ts";
import { planSpec } from "../quantize/plan-spec.ts";
import { isQuantized, quantize } from "../quantize/quantize.ts";
import type { RunOptions } from "../run/run-options.ts";
import type { ProbeBench } from "./probe-bench.ts";

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

/** Quantize and score both. The files stay. */
export async function tryPlans(
  options: RunOptions,
  bench: ProbeBench,
  unrefined: TriedPlan,
  refined: TriedPlan,
  imatrix: EngineImatrix | undefined,
): Promise<Tried> {
  const before = await scorePlan(options, bench, unrefined, imatrix);
  const after = await scorePlan(options, bench, refined, imatrix);
  return {
    chunks: bench.text.trial.chunks,
    unrefinedKld: meanSe(before).value,
    refinedKld: meanSe(after).value,
    difference: pairedDifference(after, before),
  };
}

async function scorePlan(
  options: RunOptions,
  bench: ProbeBench,
  { plan, output }: TriedPlan,
  imatrix: EngineImatrix | undefined,
): Promise<number[]> {
  const { engine, threads, gpuLayers, signal } = options;
  const spec = planSpec(plan, options.model, output, imatrix);
  const aborting = signal === undefined ? {} : { signal };
  if (!(await isQuantized(spec))) {
    await quantize(spec, {
      engine,
      threads,
      force: true,
      allowRequantize: options.allowRequantize ?? false,
      ...aborting,
    });
  }
  const tokens = bench.text.trial;
  const reference = await bench.refer(tokens);
  // the programs load no model; the library that probes in their place does
  const mapped = engine.info.kind === "programs";
  const model: LoadedModel = await engine.load({
    model: output,
    context: tokens.context,
    threads,
    gpuLayers,
    mapped,
    ...aborting,
  });
  try {
    const { kld } = await scoreChunks(model, tokens, tokens.chunks, reference, options, "trying the plans");
    return chunkMeans(kld ?? new Float64Array(), tokens.chunks);
  } finally {
    await model.close();
  }
}
