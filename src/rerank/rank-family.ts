/**
 * Files of one model side by side, by size: how surely each is farther from the reference than the next larger one. Both
 * are judged on the same queries, so that what is drawn again and again are queries.
 */
import { percentile } from "../evaluate/statistics.ts";
import { createRandom } from "../random.ts";
import type { Ranking } from "./ranking-document.ts";

type Ranked = Ranking["models"][number];

const RESAMPLES = 2000;
const SEED = 1;

/** A value, and the bounds within which 95 % of resampled ones lie. */
export interface Interval {
  readonly value: number;
  readonly low: number;
  readonly high: number;
}

/** The mean over queries. */
export function bootstrapMean(perQuery: readonly number[]): Interval {
  const random = createRandom(SEED);
  const { length } = perQuery;
  const draw = () => {
    let sum = 0;
    for (let i = 0; i < length; i++) sum += perQuery[Math.floor(random() * length)] as number;
    return sum / length;
  };
  const means = Float64Array.from({ length: RESAMPLES }, draw).sort();
  return {
    value: perQuery.reduce((sum, value) => sum + value, 0) / length,
    low: percentile(means, 0.025),
    high: percentile(means, 0.975),
  };
}

export interface FamilyStep {
  readonly smaller: string;
  readonly larger: string;
  /** Mean |Δscore| of the smaller file minus that of the larger. */
  readonly difference: Interval;
}

/** Each file against the next larger one. */
export function familySteps(models: readonly Ranked[]): FamilyStep[] {
  const sized = models
    .filter(({ rerank, fileBytes }) => rerank.fidelity !== undefined && fileBytes !== undefined)
    .sort((a, b) => (b.fileBytes ?? 0) - (a.fileBytes ?? 0));
  return sized.slice(1).map((smaller, index) => {
    const larger = sized[index] as Ranked;
    const theirs = larger.rerank.fidelity?.perQuery ?? [];
    const own = smaller.rerank.fidelity?.perQuery ?? [];
    return {
      smaller: smaller.path,
      larger: larger.path,
      difference: bootstrapMean(own.map((value, query) => value - (theirs[query] ?? Number.NaN))),
    };
  });
}
