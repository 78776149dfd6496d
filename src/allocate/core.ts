/**
 * Exact repair around a point of the walk, by dynamic programming over the units nearest to its slope (the core,
 * after Pisinger, "A minimal algorithm for the multiple-choice knapsack problem", 1995).
 *
 * Any assignment is the walk point plus deviations. A deviation has `bytes` (of either sign) and a `cost` ≥ 0, its
 * Lagrangian excess: what it loses beyond λ per byte. The gap of an assignment to the linear bound at the budget is
 * exactly (sum of costs) + λ·(bytes left unused). So enumerating all states up to a cost C, hull options or not,
 * either finds the optimum or proves a gap of at least C.
 *
 * Nothing here looks at the budget, only at the window between two points of the walk. That makes the allocator
 * monotone: budgets in one window choose from the same states, and no state of a smaller window beats the next point.
 */
import type { Option } from "./problem.ts";
import type { Unit } from "./units.ts";
import type { WalkPoint } from "./walk.ts";

export interface Window {
  /** Bytes from the walk point to the next one; useful states add 0 ≤ bytes < windowBytes. */
  readonly bytes: number;
  readonly lambda: number;
}

/** What one unit can do instead of its choice at the walk point; entry 0 is to do nothing. */
export interface CoreUnit {
  readonly unit: number;
  readonly options: readonly number[];
  readonly bytes: readonly number[];
  readonly costs: readonly number[];
}

/** List the deviations that cost less than one whole step of the window, units nearest to the slope first. */
export function findCore(
  units: readonly Unit[],
  point: WalkPoint,
  window: Window,
  fixed: ReadonlyMap<number, number>,
): CoreUnit[] {
  const core: { entry: CoreUnit; distance: number }[] = [];
  units.forEach(({ options }, unit) => {
    if (fixed.has(unit)) return;
    const chosen = point.choice[unit] as number;
    const base = options[chosen] as Option;
    const entry = { unit, options: [chosen], bytes: [0], costs: [0] };
    let distance = Number.POSITIVE_INFINITY;
    options.forEach((option, index) => {
      if (index === chosen) return;
      const bytes = option.bytes - base.bytes;
      // Rounding may put a hull neighbour a hair below the line.
      const cost = Math.max(0, option.loss - base.loss + window.lambda * bytes);
      if (cost > window.lambda * window.bytes) return;
      entry.options.push(index);
      entry.bytes.push(bytes);
      entry.costs.push(cost);
      distance = Math.min(distance, cost / Math.abs(bytes));
    });
    if (entry.options.length > 1) core.push({ entry, distance });
  });
  return core.sort((a, b) => a.distance - b.distance || a.entry.unit - b.entry.unit).map(({ entry }) => entry);
}

/** Keep the deviations up to a cost. */
export function limitCore(core: readonly CoreUnit[], maxCost: number): CoreUnit[] {
  const limited: CoreUnit[] = [];
  for (const { unit, options, bytes, costs } of core) {
    const kept = options.map((_, i) => i).filter((i) => (costs[i] as number) <= maxCost);
    if (kept.length < 2) continue;
    limited.push({
      unit,
      options: kept.map((i) => options[i] as number),
      bytes: kept.map((i) => bytes[i] as number),
      costs: kept.map((i) => costs[i] as number),
    });
  }
  return limited;
}
