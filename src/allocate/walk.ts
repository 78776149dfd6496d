/**
 * The Lagrangian walk: from the smallest choice of every unit, take the steps along the convex hulls in order of loss
 * saved per byte until one doesn't fit. Every point of the walk is optimal for its own bytes (Everett 1963), and the
 * line to the next point is the linear relaxation, the lower bound for every budget between the two.
 */
import type { Option } from "./problem.ts";
import type { Unit } from "./units.ts";

export interface WalkPoint {
  /** Chosen option per unit, an index into its options. */
  readonly choice: Int32Array;
  readonly bytes: number;
  /** The first step that doesn't fit the budget; absent where everything fits. */
  readonly next?: Step;
}

export interface Step {
  readonly unit: number;
  /** Index of the option it leads to. */
  readonly to: number;
  readonly bytes: number;
  /** Loss saved per byte. */
  readonly lambda: number;
}

const savedPerByte = (from: Option, to: Option): number => (from.loss - to.loss) / (to.bytes - from.bytes);

/** Steps along the lower convex hull of efficient options; the saving per byte falls strictly from step to step. */
function hullSteps(unit: number, options: readonly Option[]): Step[] {
  const steps: Step[] = [];
  const hull: Option[] = options.slice(0, 1);
  options.forEach((option, to) => {
    if (to === 0) return;
    let from = hull.at(-1) as Option;
    while (steps.length > 0 && (steps.at(-1) as Step).lambda <= savedPerByte(from, option)) {
      steps.pop();
      hull.pop();
      from = hull.at(-1) as Option;
    }
    steps.push({ unit, to, bytes: option.bytes - from.bytes, lambda: savedPerByte(from, option) });
    hull.push(option);
  });
  return steps;
}

/** All hull steps in the order of the walk, whatever the budget: equal slopes go by fewer bytes, then by unit. */
export function orderSteps(units: readonly Unit[]): Step[] {
  const steps = units.flatMap(({ options }, unit) => hullSteps(unit, options));
  return steps.sort((a, b) => b.lambda - a.lambda || a.bytes - b.bytes || a.unit - b.unit);
}

/**
 * Walk to the last point within the budget, the units in `fixed` held at the option given there.
 * Returns undefined when not even the smallest choices fit.
 */
export function walkHulls(
  units: readonly Unit[],
  steps: readonly Step[],
  budgetBytes: number,
  fixed: ReadonlyMap<number, number> = new Map(),
): WalkPoint | undefined {
  const choice = Int32Array.from(units, (_, unit) => fixed.get(unit) ?? 0);
  let bytes = units.reduce((sum, { options }, unit) => sum + (options[choice[unit] as number] as Option).bytes, 0);
  if (bytes > budgetBytes) return undefined;
  for (const step of steps) {
    if (fixed.has(step.unit)) continue;
    if (bytes + step.bytes > budgetBytes) return { choice, bytes, next: step };
    choice[step.unit] = step.to;
    bytes += step.bytes;
  }
  return { choice, bytes };
}
