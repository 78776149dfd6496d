import type { OsqeSums } from "../kernels/backend.ts";

export interface Osqe {
  readonly b2: number;
  readonly b3: number;
  readonly b4: number;
  readonly b6: number;
}

/** Relative errors below this are rounding of the 32-bit weights themselves: they lie on the grid. */
export const LOSSLESS = 1e-12;

/** Add up the sums of several pieces of a tensor (experts, bands of rows). */
export function addOsqeSums(parts: readonly OsqeSums[]): OsqeSums {
  const error = { 2: 0, 3: 0, 4: 0, 6: 0 };
  let power = 0;
  let near = 0;
  let expected = 0;
  for (const part of parts) {
    power += part.power;
    for (const bits of [2, 3, 4, 6] as const) error[bits] += part.error[bits];
    near += part.boundary.near;
    expected += part.boundary.expected;
  }
  return { power, error, boundary: { near, expected } };
}

/**
 * Compute OSQE(b), the relative squared error of b-bit quantization in groups of 32 with the best scale of each group:
 * from 0 (the weights lie on such a grid) to 1. SQNR in dB is −10·log₁₀ of it.
 */
export function osqe({ power, error }: OsqeSums): Osqe {
  const relative = (sum: number) => (sum < LOSSLESS * power ? 0 : sum / power);
  return { b2: relative(error[2]), b3: relative(error[3]), b4: relative(error[4]), b6: relative(error[6]) };
}
