/** Median of the values (the mean of the middle two where their number is even); NaN for none. */
export function median(values: ArrayLike<number>): number {
  const ascending = Float64Array.from(values).sort();
  const middle = ascending.length >> 1;
  const upper = ascending[middle] ?? Number.NaN;
  return ascending.length % 2 === 1 ? upper : ((ascending[middle - 1] ?? Number.NaN) + upper) / 2;
}

/** Median absolute deviation from the median, not rescaled to a standard deviation. */
export function medianAbsoluteDeviation(values: ArrayLike<number>): number {
  const centre = median(values);
  return median(Array.from(values, (value) => Math.abs(value - centre)));
}
