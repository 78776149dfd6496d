/**
 * Plan → another plan of the same model, from what the plan recorded of its tensors: another budget, other constraints,
 * the same solver. What a browser does when a slider moves. The result is what `makePlan` gives for the analysis the
 * plan was made from.
 */
import type { BudgetRequest } from "./budget.ts";
import { type Candidate, candidateFrom } from "./costing.ts";
import { planCandidates } from "./make-plan.ts";
import type { Constraint, Plan } from "./plan.ts";

export interface ReplanOptions {
  readonly budget: BudgetRequest;
  /** Instead of the user's constraints of the plan; PRISM's own are made anew. */
  readonly constraints?: readonly Constraint[];
  /** ISO 8601. Default: now. */
  readonly createdAt?: string;
}

/** The tensors of plans that were planned anew before. */
const CANDIDATES = new WeakMap<Plan, readonly Candidate[]>();

/** Plan anew; faster again for the same plan. Throws UsageError and InfeasibleError as makePlan does. */
export function replan(plan: Plan, { budget, constraints, createdAt }: ReplanOptions): Plan {
  const { source, facts, imatrix, prismVersion, sensitivity, lossUnit } = plan;
  return planCandidates({
    source,
    facts,
    prismVersion,
    ...(imatrix ? { imatrix } : {}),
    tensors: candidatesFrom(plan),
    sensitivity: { ...sensitivity, lossUnit },
    budget,
    mode: plan.mode === "class" ? "class" : "tensor",
    constraints: constraints ?? plan.constraints.filter(({ builtIn }) => builtIn !== true),
    guards: Object.fromEntries((plan.guardsOff ?? []).map((guard) => [guard, false])),
    ...(createdAt === undefined ? {} : { createdAt }),
  });
}

/** What is known of each tensor of a plan, whatever its types are now. */
export function candidatesFrom(plan: Plan): readonly Candidate[] {
  const found =
    CANDIDATES.get(plan) ?? plan.tensors.map((tensor) => candidateFrom(tensor, tensor.reason !== "ineligible"));
  CANDIDATES.set(plan, found);
  return found;
}
