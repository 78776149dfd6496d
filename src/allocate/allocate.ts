/**
 * Items + budget → Assignment: the multiple-choice knapsack in bytes.
 *
 * 1. Units: groups merged, dominated options dropped (units.ts). 2. Lagrangian walk over the convex hulls to the last
 * point within the budget; it also gives the linear lower bound (walk.ts). 3. Exact repair around that point by branch
 * and bound over the core (search.ts, core.ts, states.ts).
 * Never over the budget; deterministic; independent of the order of the items; and monotone: a larger budget never
 * gives more loss, whether the optimum was proven or the states ran out (search.ts says why).
 */
import { InfeasibleError, UsageError } from "../errors.ts";
import type { Assignment, Option, Problem } from "./problem.ts";
import { relaxedLoss, searchWindow } from "./search.ts";
import { makeStates } from "./states.ts";
import { formUnits, type Unit } from "./units.ts";
import { orderSteps, type Step, type WalkPoint, walkHulls } from "./walk.ts";

/** How much the exact repair may do; counted, never timed, so the result is the same on every machine. */
export interface Effort {
  /** States one enumeration may keep, at least 1. */
  readonly maxStates: number;
}

/**
 * States. Proves the optimum of most model-shaped problems; where it can't, the gap stays near 1e-3 or below and the
 * search takes under a second (bench/allocate.ts).
 */
export const DEFAULT_EFFORT: Effort = { maxStates: 2 ** 17 };

/**
 * Choose a type for every item with the least summed loss within the budget.
 * Throws InfeasibleError when even the smallest choices exceed it or a group has no common type.
 */
export function allocate(problem: Problem, effort: Effort = DEFAULT_EFFORT): Assignment {
  const { units, steps, point } = startWalk(problem);
  const states = makeStates(Math.max(1, effort.maxStates));
  const budgetBytes = Math.floor(problem.budgetBytes);
  const { choice, bytes, loss, lowerBound } = searchWindow({ units, steps, budgetBytes, states }, point);
  const gap = loss === 0 ? 0 : (loss - lowerBound) / loss;
  return { types: typesOf(units, choice), bytes, loss, lowerBound, gap, lambda: point.next?.lambda ?? 0 };
}

/** Bound the loss from below by the linear relaxation, without searching. */
export function boundLoss(problem: Problem): number {
  const { units, point } = startWalk(problem);
  return relaxedLoss(units, point, problem.budgetBytes);
}

function startWalk({ items, budgetBytes }: Problem): { units: Unit[]; steps: Step[]; point: WalkPoint } {
  if (Number.isNaN(budgetBytes)) throw new UsageError("allocate: the budget is not a number; give it in bytes");
  const units = formUnits(items);
  const steps = orderSteps(units);
  const point = walkHulls(units, steps, budgetBytes);
  if (point) return { units, steps, point };
  const minBytes = units.reduce((sum, { options }) => sum + (options[0] as Option).bytes, 0);
  const maxBytes = units.reduce((sum, { offered }) => sum + Math.max(...offered.map((option) => option.bytes)), 0);
  throw new InfeasibleError(
    `asked for at most ${budgetBytes} bytes of tensors, but the smallest possible choice takes ${minBytes} ` +
      `(the largest ${maxBytes}); raise the budget, or allow smaller types`,
    { minBytes, maxBytes },
  );
}

function typesOf(units: readonly Unit[], choice: Int32Array): Assignment["types"] {
  const types = new Map<string, Option["type"]>();
  units.forEach(({ members, options }, unit) => {
    const { type } = options[choice[unit] as number] as Option;
    for (const name of members) types.set(name, type);
  });
  return types;
}
