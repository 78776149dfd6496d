/** Why one tensor of a plan has its type, and what every other type would have cost. */
import { openWork } from "../allocate/compile-pattern.ts";
import { constraintPattern } from "../allocate/patterns.ts";
import { UsageError } from "../errors.ts";
import { bitsPerWeight } from "../ggml/tensor-types.ts";
import { distortionOf, frontier, steps } from "./costing.ts";
import type { Constraint, Plan, PlanTensor, Step } from "./plan.ts";

export interface ExplainedOption extends Step {
  readonly bitsPerWeight: number;
  readonly distortion: number;
  readonly chosen: boolean;
  /** A type of at most these bytes does at least as well. */
  readonly dominated: boolean;
}

export interface Explanation {
  readonly tensor: PlanTensor;
  /** Share of the bytes of all tensors. */
  readonly byteShare: number;
  readonly constraints: readonly Constraint[];
  /** Smallest first. */
  readonly options: readonly ExplainedOption[];
  readonly lossUnit: Plan["lossUnit"];
}

/** Explain a tensor by its name. Throws UsageError, with the nearest names, if the plan has none of that name. */
export function explainTensor(plan: Plan, name: string): Explanation {
  const tensor = plan.tensors.find((candidate) => candidate.name === name);
  if (!tensor) {
    const near = nearestNames(plan, name);
    throw new UsageError(`the plan has no tensor ${JSON.stringify(name)}; did you mean ${near.join(", ")}?`);
  }
  const work = openWork();
  const choice = { ...tensor, eligible: tensor.reason !== "ineligible" };
  const efficient = new Set(frontier(choice).map(({ type }) => type));
  return {
    tensor,
    byteShare: plan.predicted.tensorBytes === 0 ? 0 : tensor.bytes / plan.predicted.tensorBytes,
    constraints: plan.constraints.filter((constraint) => constraintPattern(constraint, work).test(name)),
    options: steps(choice).map((step) => ({
      ...step,
      bitsPerWeight: bitsPerWeight(step.type),
      distortion: distortionOf(tensor, step.type) ?? 0,
      chosen: step.type === tensor.type,
      dominated: !efficient.has(step.type),
    })),
    lossUnit: plan.lossUnit,
  };
}

/** The names that need the fewest edits to become `name`, at most three. */
function nearestNames(plan: Plan, name: string): string[] {
  const wanted = name.slice(0, 100);
  return plan.tensors
    .map((tensor) => ({
      name: tensor.name,
      edits: Math.min(editDistance(wanted, tensor.name), editDistance(`${wanted}.weight`, tensor.name)),
    }))
    .sort((a, b) => a.edits - b.edits)
    .slice(0, 3)
    .map((near) => near.name);
}

/** Levenshtein distance. */
function editDistance(a: string, b: string): number {
  let previous = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let row = 1; row <= a.length; row++) {
    const current = [row];
    for (let column = 1; column <= b.length; column++) {
      const substitution = (previous[column - 1] ?? 0) + (a[row - 1] === b[column - 1] ? 0 : 1);
      current.push(Math.min(substitution, (previous[column] ?? 0) + 1, (current[column - 1] ?? 0) + 1));
    }
    previous = current;
  }
  return previous[b.length] ?? 0;
}
