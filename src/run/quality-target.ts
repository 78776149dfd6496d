/**
 * `--kld 0.05`, `--ppl-ratio 1.02`: where to look for the smallest file that meets a quality. Every point is a real
 * evaluation; between them ln(measured) is taken to be a straight line over ln(predicted loss), of slope 1 around
 * the first (losses add up), so that a few evaluations find it. Pure; search-target.ts does the work.
 */
import type { SweepPoint } from "./run-document.ts";

export interface QualityTarget {
  readonly measure: "kld" | "pplRatio";
  readonly limit: number;
}

export interface TargetPoint {
  readonly fileBytes: number;
  readonly predictedLoss: number;
  /** KLD or ln(PPL ratio), with its standard error. */
  readonly value: number;
  readonly se: number;
}

/** A point within this below the limit is near enough: 3 % of the loss are about half a percent of the bytes. */
const NEAR = 0.03;
/** A file that is met and one that is not, this close in size, leave nothing to find. */
const CLOSE_BYTES = 0.005;
/** Evaluations after which the smallest that met the target is taken; twice as many until one does. */
export const MAX_EVALUATIONS = 6;
/** Values at or below zero (a perplexity ratio under 1) are put this far below the limit. */
const LEAST_SHARE = 0.01;

/** The limit on KLD, or on the logarithm of the ratio. */
export function limitOf({ measure, limit }: QualityTarget): number {
  return measure === "kld" ? limit : Math.log(limit);
}

/** What a point measured of the target's measure; undefined where it could not be measured. */
export function targetPoint(target: QualityTarget, point: SweepPoint): TargetPoint | undefined {
  const { fileBytes, predictedLoss, kld, lnPplRatio } = point;
  const measured = target.measure === "kld" ? kld && { value: kld.mean, se: kld.se } : lnPplRatio && { ...lnPplRatio };
  return measured === undefined || predictedLoss === undefined ? undefined : { fileBytes, predictedLoss, ...measured };
}

/** Met only where it is so with one standard error to spare. */
export function meets(target: QualityTarget, { value, se }: Pick<TargetPoint, "value" | "se">): boolean {
  return value + se <= limitOf(target);
}

/** The smallest point that meets the target. */
export function smallestMet(target: QualityTarget, points: readonly TargetPoint[]): TargetPoint | undefined {
  return points.filter((point) => meets(target, point)).sort((a, b) => a.fileBytes - b.fileBytes)[0];
}

/** Slopes of ln(measured) over ln(predicted) that are believed between two points. */
const LEAST_SLOPE = 0.2;
const MOST_SLOPE = 2;

/** The slope between a point and the one nearest to it: 1, as losses add up, where there is no other. */
function slopeAt(point: TargetPoint, points: readonly TargetPoint[], height: (point: TargetPoint) => number): number {
  const distance = (other: TargetPoint) => Math.log(other.predictedLoss / point.predictedLoss);
  const [other] = points
    .filter((each) => each !== point && distance(each) !== 0)
    .sort((a, b) => Math.abs(distance(a)) - Math.abs(distance(b)));
  if (other === undefined) return 1;
  return Math.min(MOST_SLOPE, Math.max(LEAST_SLOPE, (height(other) - height(point)) / distance(other)));
}

/** The predicted loss to try next; undefined where the search is over. */
export function nextLoss(target: QualityTarget, points: readonly TargetPoint[]): number | undefined {
  const limit = limitOf(target);
  const met = smallestMet(target, points);
  const missed = points
    .filter((point) => !meets(target, point) && (met === undefined || point.fileBytes < met.fileBytes))
    .sort((a, b) => b.fileBytes - a.fileBytes)[0];
  if (points.length >= (met === undefined ? 2 * MAX_EVALUATIONS : MAX_EVALUATIONS)) return undefined;
  if (met !== undefined) {
    if (met.value + met.se >= (1 - NEAR) * limit) return undefined;
    if (missed !== undefined && met.fileBytes / missed.fileBytes - 1 < CLOSE_BYTES) return undefined;
  }
  const nearest = met ?? missed;
  if (nearest === undefined) return undefined;
  // one standard error below the limit, and half the tolerance more
  const relativeSe = nearest.value > 0 ? nearest.se / nearest.value : 0;
  const wanted = Math.log(((1 - NEAR / 2) * limit) / (1 + relativeSe));
  const height = ({ value }: TargetPoint) => Math.log(Math.max(value, LEAST_SHARE * limit));
  if (met === undefined || missed === undefined) {
    return nearest.predictedLoss * Math.exp((wanted - height(nearest)) / slopeAt(nearest, points, height));
  }
  const share = (wanted - height(met)) / (height(missed) - height(met));
  // inside the bracket, and never at its ends
  const inside = Math.min(0.9, Math.max(0.1, Number.isFinite(share) ? share : 0.5));
  return met.predictedLoss * (missed.predictedLoss / met.predictedLoss) ** inside;
}
