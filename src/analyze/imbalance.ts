import type { Moments } from "../kernels/backend.ts";
import { medianAbsoluteDeviation } from "./order-statistics.ts";

export interface Imbalance {
  /** The larger of `row` and `column`. */
  readonly value: number;
  readonly row: number;
  readonly column: number;
  /** MAD of ln RMS over the columns that are not all 0. */
  readonly columnLogSpread: number;
}

/**
 * Compute the coefficients of variation (population) of the RMS of rows and of columns, from 0 to √(number − 1).
 * Unequal columns are what hurts formats whose scales are shared along a row; unequal rows don't. Undefined for a zero
 * matrix.
 */
export function imbalance({ rowPower, columnPower }: Moments): Imbalance | undefined {
  const row = variationOfRoots(rowPower);
  const column = variationOfRoots(columnPower);
  if (row === undefined || column === undefined) return undefined;
  // ln RMS is half of ln power, up to a constant that the deviation from the median does not see.
  const logs = columnPower.filter((power) => power > 0).map((power) => 0.5 * Math.log(power));
  return { value: Math.max(row, column), row, column, columnLogSpread: medianAbsoluteDeviation(logs) };
}

/** Population standard deviation over mean of √power; the common factor 1/√length of an RMS cancels. */
function variationOfRoots(powers: Float64Array): number | undefined {
  const roots = powers.map(Math.sqrt);
  const mean = roots.reduce((sum, root) => sum + root, 0) / roots.length;
  if (!(mean > 0)) return undefined;
  const variance = roots.reduce((sum, root) => sum + (root / mean - 1) ** 2, 0) / roots.length;
  return Math.sqrt(variance);
}
