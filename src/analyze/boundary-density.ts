import type { OsqeSums } from "../kernels/backend.ts";

/**
 * Compute BD*, the share of weights near a decision threshold of the 4-bit grid relative to a smooth density, minus 1:
 * −1 where none is near one, about −0.3 for smooth densities with the best scale, far from it for weights that already
 * lie on a lattice. Undefined where all weights are 0.
 */
export function boundaryDensity({ boundary }: OsqeSums): number | undefined {
  return boundary.expected > 0 ? boundary.near / boundary.expected - 1 : undefined;
}
