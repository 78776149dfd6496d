/** How far to extend a sample whose standard error is still too large. */

/** The variance of a few bands is itself uncertain by a third: aim lower, so that one extension is mostly enough. */
const SAFETY = 1.2;
/** Factor by which a sample grows at least, or its variance would be looked at for nothing, and at most. */
const SMALLEST_GROWTH = 1.25;
const LARGEST_GROWTH = 4;

/**
 * Bands per stratum, of `longest`, that bring a relative variance measured on `bands` of them down to `allowed`: it
 * falls as 1/bands − 1/longest. Variances are squares of relative standard errors.
 */
export function bandsNeeded(
  { bands, longest }: { readonly bands: number; readonly longest: number },
  variance: number,
  allowed: number,
): number {
  const least = Math.ceil(SMALLEST_GROWTH * bands);
  const most = Math.ceil(LARGEST_GROWTH * bands);
  // without a variance (no power found yet) the sample grows as fast as it may
  if (variance === 0) return Math.min(longest, most);
  const share = Math.max(0, allowed) / (SAFETY * variance);
  const needed = Math.ceil(1 / (1 / longest + share * (1 / bands - 1 / longest)));
  return Math.min(longest, Math.max(least, Math.min(needed, most)));
}
