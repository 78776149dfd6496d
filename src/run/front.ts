/** The Pareto front of files over size and a distance from the reference, and its knee. Pure. */
import { SAME_SIZE } from "./same-size.ts";

export interface FrontPoint {
  readonly fileBytes: number;
  /** Less is better: a KL divergence, a perplexity, a change of scores, a drift. */
  readonly value: number;
}

/**
 * The points that no other of them beats, by size: none is better at no more bytes, sizes within half a percent being
 * one size as in a verdict, and none as good is smaller. Of equal points the first stays. One that is beaten beats none,
 * or a row of nearly equal sizes would lose all but its largest.
 */
export function survivors<Point extends FrontPoint>(points: readonly Point[]): Point[] {
  const kept: Point[] = [];
  for (const point of [...points].sort((a, b) => a.value - b.value || a.fileBytes - b.fileBytes)) {
    const room = (value: number) => point.fileBytes * (value < point.value ? 1 + SAME_SIZE : 1);
    if (!kept.some(({ fileBytes, value }) => fileBytes <= room(value))) kept.push(point);
  }
  return kept.sort((a, b) => a.fileBytes - b.fileBytes);
}

/** Survivors that a knee is sought among at least: the ends of the front are none. */
const LEAST_SURVIVORS = 3;

/**
 * The survivor farthest below the straight line between the ends of the front, both axes logarithmic and scaled to 1
 * (Satopaa et al., "Finding a kneedle in a haystack", 2011): beyond it a byte buys less than on average. Undefined
 * where no survivor lies below the line.
 */
export function knee<Point extends FrontPoint>(front: readonly Point[]): Point | undefined {
  const usable = front.filter(({ value }) => value > 0);
  const [first] = usable;
  const last = usable.at(-1);
  if (usable.length < LEAST_SURVIVORS || first === undefined || last === undefined) return undefined;
  const width = Math.log(last.fileBytes / first.fileBytes);
  const height = Math.log(first.value / last.value);
  let best: Point | undefined;
  let deepest = 0;
  for (const point of usable) {
    const along = Math.log(point.fileBytes / first.fileBytes) / width;
    const depth = Math.log(first.value / point.value) / height - along;
    if (depth > deepest) {
      deepest = depth;
      best = point;
    }
  }
  return best;
}
