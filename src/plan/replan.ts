/**
 * Plan → another plan of the same model, from what the plan recorded of its tensors: another budget, other constraints,
 * the same solver. What a browser does when a slider moves. The result is what `makePlan` gives for the analysis the
 * plan was made from.
 */

import { UsageError } from "../errors.ts";
import { isQuantizedType, type TensorType } from "../ggml/tensor-types.ts";
import { present } from "../present.ts";
import { type BudgetRequest, budgetFrom } from "./budget.ts";
import { paddedTensorBytes, type TensorChoice, tensorChoice } from "./costing.ts";
import { solvePlan } from "./make-plan.ts";
import type { Constraint, Plan } from "./plan.ts";
import { planHeaderBytes } from "./predict.ts";
import { fixedBytes } from "./solve.ts";

export interface ReplanOptions {
  readonly budget: BudgetRequest;
  /** Instead of the user's constraints of the plan; PRISM's own are made anew. */
  readonly constraints?: readonly Constraint[];
  /** ISO 8601. Default: now. */
  readonly createdAt?: string;
}

/** The tensors of plans that were planned anew before. */
const CHOICES = new WeakMap<Plan, readonly TensorChoice[]>();

/** Plan anew; faster again for the same plan. Throws UsageError and InfeasibleError as makePlan does. */
export function replan(plan: Plan, { budget, constraints, createdAt }: ReplanOptions): Plan {
  const { source, facts, imatrix, feedback, prismVersion, sensitivity, lossUnit, types } = plan;
  return solvePlan({
    source,
    facts,
    prismVersion,
    ...present({ imatrix, feedback }),
    tensors: tensorChoices(plan),
    sensitivity: { ...sensitivity, lossUnit },
    budget,
    mode: plan.mode === "class" ? "class" : "tensor",
    constraints: constraints ?? plan.constraints.filter(({ builtIn }) => builtIn !== true),
    guards: Object.fromEntries((plan.guardsOff ?? []).map((guard) => [guard, false])),
    ...present({ createdAt, types }),
  });
}

/** What is known of each tensor of a plan, whatever its types are now. */
export function tensorChoices(plan: Plan): readonly TensorChoice[] {
  const found = CHOICES.get(plan) ?? plan.tensors.map((tensor) => tensorChoice(tensor, tensor.reason !== "ineligible"));
  CHOICES.set(plan, found);
  return found;
}

/** What a plan was asked, as a request; where its words mean nothing, its limit on the file. */
export function askedBudget({ budget: { text, fileBytes, memory } }: Pick<Plan, "budget">): BudgetRequest {
  const [, option, value = ""] = /^--(bpw|size|like) (.+)$/.exec(text) ?? [];
  try {
    if (option !== undefined) return budgetFrom(option as "bpw" | "size" | "like", value);
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
  }
  return { kind: "fileBytes", value: fileBytes, text, memory };
}

/** The smallest and the largest quantized file without constraints: where a budget makes a difference. */
export function budgetRange(plan: Plan): { readonly minBytes: number; readonly maxBytes: number } {
  const tensors = tensorChoices(plan);
  const headerBytes = planHeaderBytes(plan);
  const fixed = fixedBytes({ tensors, headerBytes, budget: { fileBytes: 0 } });
  let [minBytes, maxBytes] = [fixed, fixed];
  for (const tensor of tensors.filter(({ eligible }) => eligible)) {
    const types = Object.keys(tensor.options ?? {}) as TensorType[];
    const quantized = types.filter(isQuantizedType);
    const bytes = (quantized.length > 0 ? quantized : types).map((type) => paddedTensorBytes(tensor, type));
    minBytes += Math.min(...bytes);
    maxBytes += Math.max(...bytes);
  }
  return { minBytes, maxBytes };
}
