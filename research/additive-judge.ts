/**
 * What the judges of measured models share: a plan's additive loss, the oracle, and a prior fitted to some of the models.
 * loss(plan) = Σ kld(t) · D(type) / D(probe type); the probe type is one per model, so it cancels in every share.
 */
import { type FileType, parseFileType } from "../src/ggml/file-types.ts";
import type { TensorType } from "../src/ggml/tensor-types.ts";
import { presetTypes } from "../src/plan/budget.ts";
import { type GuardSwitches, YIELDING } from "../src/plan/guards.ts";
import { analyzedChoices, makePlan } from "../src/plan/make-plan.ts";
import { fitPrior } from "../src/sensitivity/fit-prior.ts";
import { fromDensity, type Sensitivity } from "../src/sensitivity/sensitivity.ts";
import type { Prior } from "../src/sensitivity/sensitivity-prior.ts";
import { measuredKinds } from "./measured-kinds.ts";
import type { MeasuredModel } from "./measured-kld.ts";

/** Nine sizes, as an option has them. */
export const JUDGED_PRESETS = "Q2_K,Q3_K_S,Q3_K_M,Q3_K_L,Q4_K_S,Q4_K_M,Q5_K_S,Q5_K_M,Q6_K";

export const NO_GUARDS: GuardSwitches = Object.fromEntries(YIELDING.map((guard) => [guard, false]));

export interface Score {
  /** Percent of the gain the oracle has over the preset. */
  readonly share: number;
  /** Percent of the preset's loss. */
  readonly loss: number;
}

/** Scores the plans of a model at the bytes of each preset. */
export function planJudge(model: MeasuredModel, presets: readonly FileType[]) {
  const { analysis } = model;
  const truth = measured(model);
  const tensors = analyzedChoices(analysis, truth);
  const stock = presets.map((fileType) =>
    lossOf(model, presetTypes(fileType, { facts: analysis.facts, imatrix: false, tensors })),
  );
  const oracle = presets.map((fileType) => planLoss(model, truth, fileType, NO_GUARDS));
  return (sensitivity: Sensitivity, guards: GuardSwitches): Score[] =>
    presets.map((fileType, index) => {
      const loss = planLoss(model, sensitivity, fileType, guards);
      const [most, least] = [stock[index] ?? 0, oracle[index] ?? 0];
      return { share: (100 * (most - loss)) / (most - least), loss: (100 * loss) / most };
    });
}

function planLoss(model: MeasuredModel, sensitivity: Sensitivity, fileType: FileType, guards: GuardSwitches): number {
  const { analysis } = model;
  const plan = makePlan({ analysis, sensitivity, budget: { kind: "like", fileType }, guards });
  return lossOf(model, new Map(plan.tensors.map(({ name, type }) => [name, type])));
}

/** In units of the KLD of the probe type at D = 1. */
function lossOf({ analysis, kld }: MeasuredModel, types: ReadonlyMap<string, TensorType>): number {
  return analysis.tensors.reduce((sum, { name, eligible, distortion }) => {
    if (!eligible) return sum;
    const type = types.get(name);
    const caused = type && distortion?.[type]?.value;
    if (caused === undefined) throw new Error(`no distortion of ${type} for ${name}`);
    return sum + (kld.get(name) ?? 0) * caused;
  }, 0);
}

function measured({ analysis, kld }: MeasuredModel): Sensitivity {
  const values = fromDensity(analysis, ({ name, elements }) => (kld.get(name) ?? 0) / elements);
  return { mode: "measured", version: "1", lossUnit: "relative", values };
}

/** The prior that these models give. */
export function priorOf(models: readonly MeasuredModel[]): Prior {
  const kinds = models.map(measuredKinds);
  return { schema: "prism.prior/1", version: "left out", ...fitPrior(kinds), measured: kinds };
}

export function preset(name: string): FileType {
  const fileType = parseFileType(name);
  if (fileType === undefined) throw new Error(`${name} is not a preset`);
  return fileType;
}

export function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
