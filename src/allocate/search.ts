/**
 * Search one window of the walk: enumerate deviations up to a growing cost until the optimum is proven. When the
 * states run out, branch on the unit whose step doesn't fit (often an embedding as large as many tensors together) and
 * search with it held at each of its options; at the last level, enumerate dearer deviations coarsely instead.
 *
 * Monotone in the budget by induction: a level returns the least of its own states, which don't depend on the budget
 * within a window, and of its branches, which are monotone. Bounds only cut what can't be that least.
 */
import { findCore, limitCore } from "./core.ts";
import type { Option } from "./problem.ts";
import { type Enumeration, enumerate, type States, traceChoice } from "./states.ts";
import { sumLosses } from "./sum-losses.ts";
import type { Unit } from "./units.ts";
import { type Step, type WalkPoint, walkHulls } from "./walk.ts";

export interface Search {
  readonly units: readonly Unit[];
  readonly steps: readonly Step[];
  /** Whole bytes. */
  readonly budgetBytes: number;
  /** Room for the states of one enumeration. */
  readonly states: States;
}

export interface Found {
  readonly choice: Int32Array;
  readonly bytes: number;
  readonly loss: number;
  /** No choice with the same units fixed has less. */
  readonly lowerBound: number;
}

/**
 * Levels of branching: an untied embedding and output are two units larger than the rest. In bench/allocate.ts a third
 * level proves 3 of 320 budgets more and takes 1.5 times as long.
 */
const BRANCH_LEVELS = 2;
/** The first enumeration goes up to this share of the dearest useful cost, the next ones up to twice the last. */
const FIRST_SHARE = 2 ** -20;
/** Cost ratio between coarse enumerations; 4 and 8 find plans up to 1e-4 better and take up to twice as long. */
const COARSE_RATIO = 32;
/** States within this share of the window's loss of the best are compared by their exact sums. */
const TIE_SHARE = 1e-12;

/** One window in work: the best so far, and how much of the gap to the linear bound was searched completely. */
interface Progress {
  readonly point: WalkPoint;
  readonly window: Step;
  readonly pointLoss: number;
  readonly slack: number;
  best: { choice: Int32Array; bytes: number; loss: number; excess: number };
  provenCost: number;
}

export function lossOf(units: readonly Unit[], choice: Int32Array): number {
  return sumLosses(units.map(({ options }, unit) => (options[choice[unit] as number] as Option).loss));
}

/** Loss of the linear relaxation at the budget. */
export function relaxedLoss(units: readonly Unit[], point: WalkPoint, budgetBytes: number): number {
  const loss = lossOf(units, point.choice);
  return point.next ? Math.max(0, loss - point.next.lambda * (budgetBytes - point.bytes)) : loss;
}

/** Search from a point of the walk for less loss than `cutoff`; always returns a choice within the budget. */
export function searchWindow(
  search: Search,
  point: WalkPoint,
  fixed: ReadonlyMap<number, number> = new Map(),
  cutoff = Number.POSITIVE_INFINITY,
): Found {
  const { units, budgetBytes, states } = search;
  const pointLoss = lossOf(units, point.choice);
  const { choice, bytes, next: window } = point;
  if (window === undefined) return { choice, bytes, loss: pointLoss, lowerBound: pointLoss };
  const slack = budgetBytes - bytes;
  const best = { choice, bytes, loss: pointLoss, excess: window.lambda * slack };
  const progress: Progress = { point, window, pointLoss, slack, best, provenCost: 0 };

  const core = findCore(units, point, window, fixed);
  const useful = window.lambda * window.bytes;
  const wanted = cutoff - relaxedLoss(units, point, budgetBytes);
  let share = FIRST_SHARE;
  for (; share <= 1; share *= 2) {
    if (Math.min(progress.best.excess, wanted) <= progress.provenCost) return foundIn(progress);
    const found = enumerate(limitCore(core, share * useful), window, share * useful, states);
    if (found === undefined) break;
    improve(search, progress, found);
    progress.provenCost = share * useful;
  }
  if (progress.best.excess <= progress.provenCost) return foundIn(progress);
  if (fixed.size < BRANCH_LEVELS) return searchBranches(search, fixed, window.unit, foundIn(progress), cutoff);
  for (let coarse = share; coarse < COARSE_RATIO; coarse *= COARSE_RATIO) {
    const maxCost = Math.min(1, coarse) * useful;
    const limited = limitCore(core, maxCost);
    const picks = limited.reduce((most, { options }) => Math.max(most, options.length), 0);
    // Slices are cut at multiples of their width, so one more than asked for may be used; two for rounding.
    const bins = Math.floor(states.bytes.length / (limited.length + picks + 1)) - 2;
    const found = bins > 0 ? enumerate(limited, window, maxCost, states, bins) : undefined;
    if (found !== undefined) improve(search, progress, found);
  }
  return foundIn(progress);
}

/** Hold the unit at each of its options, the one with the least linear bound first. */
function searchBranches(
  search: Search,
  fixed: ReadonlyMap<number, number>,
  unit: number,
  incumbent: Found,
  cutoff: number,
): Found {
  const { units, steps, budgetBytes } = search;
  const branches: { held: ReadonlyMap<number, number>; point: WalkPoint; relaxed: number }[] = [];
  (units[unit] as Unit).options.forEach((_, option) => {
    const held = new Map(fixed).set(unit, option);
    const point = walkHulls(units, steps, budgetBytes, held);
    if (point) branches.push({ held, point, relaxed: relaxedLoss(units, point, budgetBytes) });
  });
  branches.sort((a, b) => a.relaxed - b.relaxed);
  let best = incumbent;
  let lowerBound = Number.POSITIVE_INFINITY;
  for (const { held, point, relaxed } of branches) {
    const limit = Math.min(best.loss, cutoff);
    if (relaxed >= limit) {
      lowerBound = Math.min(lowerBound, relaxed);
      continue;
    }
    const found = searchWindow(search, point, held, limit);
    lowerBound = Math.min(lowerBound, found.lowerBound);
    if (found.loss < best.loss || (found.loss === best.loss && found.bytes < best.bytes)) best = found;
  }
  return { ...best, lowerBound: Math.min(best.loss, Math.max(incumbent.lowerBound, lowerBound)) };
}

function foundIn({ best, provenCost }: Progress): Found {
  const { choice, bytes, loss, excess } = best;
  return { choice, bytes, loss, lowerBound: Math.max(0, loss - Math.max(0, excess - provenCost)) };
}

/** Take the best state within the slack if it beats the best so far; equal losses go by fewer bytes. */
function improve({ units, states }: Search, progress: Progress, found: Enumeration): void {
  const { point, window, pointLoss, slack } = progress;
  const lossAt = (state: number): number =>
    (states.costs[state] as number) - window.lambda * (states.bytes[state] as number);
  let least = progress.best.loss - pointLoss;
  for (let state = found.start; state < found.end && (states.bytes[state] as number) <= slack; state++) {
    least = Math.min(least, lossAt(state));
  }
  const tied = least + TIE_SHARE * window.lambda * window.bytes;
  for (let state = found.start; state < found.end && (states.bytes[state] as number) <= slack; state++) {
    if (lossAt(state) > tied) continue;
    const added = states.bytes[state] as number;
    const bytes = point.bytes + added;
    const choice = traceChoice(point, found, states, state);
    const loss = lossOf(units, choice);
    const { best } = progress;
    if (loss > best.loss || (loss === best.loss && bytes >= best.bytes)) continue;
    const excess = (states.costs[state] as number) + window.lambda * (slack - added);
    progress.best = { choice, bytes, loss, excess };
  }
}
