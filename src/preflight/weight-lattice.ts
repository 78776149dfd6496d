/**
 * Whether rows of weights lie on a coarse lattice, as a round trip through a quantized type leaves them. Two measures:
 * neighbours. Of 128 weights in a row, how many have a magnitude of their own? Trained weights in bf16 (256 magnitudes to
 * an octave pair) have over 85 %; 16 levels per block (Q4_0, int4), MXFP4 and FP8 (8 magnitudes to an octave) under 50 %.
 * steps. With the largest magnitude of a block as 127 steps, how far are weights from whole steps? A quarter on average
 * where there is no lattice, near 0 after 8 bits with a scale per block of 32 (Q8_0) or per row.
 * Finer lattices (Q6_K, 8 bits with other scales) are not told from trained weights.
 */

/** Weights compared with each other; a multiple of the blocks of all types with few levels. */
const NEIGHBOURS = 128;
/** Share of distinct magnitudes below which there are too few levels. Healthy bf16 gives 0.88, Q5_K 0.45, FP8 0.3. */
const FEW_DISTINCT = 0.6;
/** Weights of a Q8_0 block. */
const STEP_BLOCK = 32;
/** Steps of 8 bits to the largest magnitude. */
const STEPS = 127;
/** Beyond these many steps the rounding of bf16 hides whole steps. */
const CLEAR_STEPS = 32;
/** Mean distance from a whole step below which weights are on steps. Without a lattice 0.25, after Q8_0 in bf16 0.04. */
const ON_STEPS = 0.12;
/** Weights needed for a verdict. */
const ENOUGH = 1024;
/** Part of a group that must not be zero: pruned rows say nothing. */
const MIN_NONZERO = 0.5;

export interface Lattice {
  readonly kind: "levels" | "steps";
  /** Mean share of distinct magnitudes, or mean distance from a whole step. */
  readonly measured: number;
}

/** Find the lattice of `rows` (each of `rowElements` finite weights, one after another); undefined where there is none. */
export function findLattice(rows: Float32Array, rowElements: number): Lattice | undefined {
  const distinct = meanOver(rows, rowElements, NEIGHBOURS, distinctShare);
  if (distinct !== undefined && distinct < FEW_DISTINCT) return { kind: "levels", measured: distinct };
  for (const block of [STEP_BLOCK, rowElements]) {
    const distance = meanOver(rows, rowElements, block, stepDistance);
    if (distance !== undefined && distance < ON_STEPS) return { kind: "steps", measured: distance };
  }
  return undefined;
}

/** The mean of `measure` over whole groups within rows; undefined with too few weights to tell. */
function meanOver(
  rows: Float32Array,
  rowElements: number,
  group: number,
  measure: (weights: Float32Array) => number | undefined,
): number | undefined {
  let sum = 0;
  let groups = 0;
  for (let row = 0; row + rowElements <= rows.length; row += rowElements) {
    for (let start = row; start + group <= row + rowElements; start += group) {
      const value = measure(rows.subarray(start, start + group));
      if (value === undefined) continue;
      sum += value;
      groups++;
    }
  }
  return groups * group < ENOUGH ? undefined : sum / groups;
}

function distinctShare(weights: Float32Array): number | undefined {
  const magnitudes = new Set<number>();
  let nonzero = 0;
  for (const weight of weights) {
    if (weight === 0) continue;
    nonzero++;
    magnitudes.add(Math.abs(weight));
  }
  return nonzero < MIN_NONZERO * weights.length ? undefined : magnitudes.size / nonzero;
}

function stepDistance(weights: Float32Array): number | undefined {
  let largest = 0;
  for (const weight of weights) largest = Math.max(largest, Math.abs(weight));
  let sum = 0;
  let count = 0;
  for (const weight of weights) {
    const steps = (STEPS * Math.abs(weight)) / largest;
    // weights under half a step are near 0 with and without a lattice
    if (weight === 0 || steps < 0.5 || steps > CLEAR_STEPS) continue;
    sum += Math.abs(steps - Math.round(steps));
    count++;
  }
  return count < 4 ? undefined : sum / count;
}
