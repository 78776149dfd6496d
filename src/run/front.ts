/** The Pareto front of files over size and KL divergence, and its knee. Pure. */

export interface FrontPoint {
  readonly label: string;
  readonly fileBytes: number;
  /** Nats. */
  readonly kld: number;
}

/** The points that no other one beats: none is at most as large and better, or smaller and as good. By size. */
export function survivors<Point extends FrontPoint>(points: readonly Point[]): Point[] {
  const sorted = [...points].sort((a, b) => a.fileBytes - b.fileBytes || a.kld - b.kld);
  const kept: Point[] = [];
  for (const point of sorted) {
    const last = kept.at(-1);
    if (last === undefined || point.kld < last.kld) kept.push(point);
  }
  return kept;
}

/** Survivors that a knee is sought among at least: the ends of the front are none. */
const LEAST_SURVIVORS = 3;

/**
 * The survivor farthest below the straight line between the ends of the front, both axes logarithmic and scaled to 1
 * (Satopaa et al., "Finding a kneedle in a haystack", 2011): beyond it a byte buys less than on average. Undefined
 * where no survivor lies below the line.
 */
export function knee<Point extends FrontPoint>(front: readonly Point[]): Point | undefined {
  const usable = front.filter(({ kld }) => kld > 0);
  const [first] = usable;
  const last = usable.at(-1);
  if (usable.length < LEAST_SURVIVORS || first === undefined || last === undefined) return undefined;
  const width = Math.log(last.fileBytes / first.fileBytes);
  const height = Math.log(first.kld / last.kld);
  let best: Point | undefined;
  let deepest = 0;
  for (const point of usable) {
    const along = Math.log(point.fileBytes / first.fileBytes) / width;
    const depth = Math.log(first.kld / point.kld) / height - along;
    if (depth > deepest) {
      deepest = depth;
      best = point;
    }
  }
  return best;
}
