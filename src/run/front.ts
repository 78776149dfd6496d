/** The Pareto front of files over size and a distance from the reference, and its knee. Pure. */
import { SAME_SIZE } from "./same-size.ts";

export interface FrontPoint {
  readonly fileBytes: number;
  /** Less is better: a KL divergence, a perplexity, a change of scores. */
  readonly value: number;
}

/**
 * The points that no other one beats, by size: none is better at no more bytes, sizes within half a percent being one
 * size as in a verdict, and none as good is smaller. Of equal points the first stays.
 */
export function survivors<Point extends FrontPoint>(points: readonly Point[]): Point[] {
  const kept = points.filter((own, at) => !points.some((other, index) => beats(other, own, index < at)));
  return kept.sort((a, b) => a.fileBytes - b.fileBytes);
}

function beats(other: FrontPoint, own: FrontPoint, isEarlier: boolean): boolean {
  if (other.value !== own.value) return other.value < own.value && other.fileBytes <= own.fileBytes * (1 + SAME_SIZE);
  return other.fileBytes < own.fileBytes || (isEarlier && other.fileBytes === own.fileBytes);
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
