import { BOUNDARY_DELTA, type Matrix, OSQE_BLOCK, type OsqeSums } from "../backend.ts";
import { type Block, createSweep, symmetricError, twoBitError } from "./scale-sweep.ts";

/** Highest level at 3, 4 and 6 bits; the lowest one is its negative. */
const TOP_LEVEL = { 3: 3, 4: 7, 6: 31 } as const;

/** Sum the squared errors at 2, 3, 4 and 6 bits and the weights near a 4-bit decision threshold. */
export function osqeSums(matrix: Matrix): OsqeSums {
  const { data, rows, columns } = matrix;
  const block: Block = {
    magnitude: new Float64Array(OSQE_BLOCK),
    inverse: new Float64Array(OSQE_BLOCK),
    negative: new Uint8Array(OSQE_BLOCK),
    length: 0,
    power: 0,
  };
  const sweep = createSweep();
  const error = { 2: 0, 3: 0, 4: 0, 6: 0 };
  let power = 0;
  let near = 0;
  let onGrid = 0;
  for (let row = 0; row < rows; row++) {
    const rowEnd = (row + 1) * columns;
    for (let start = row * columns; start < rowEnd; start += OSQE_BLOCK) {
      const end = Math.min(start + OSQE_BLOCK, rowEnd);
      const largest = loadBlock(data, start, end, block);
      if (largest === 0) continue;
      const unit = largest * largest;
      power += unit * block.power;
      error[2] += unit * twoBitError(block, sweep);
      error[3] += unit * symmetricError(block, sweep, TOP_LEVEL[3]);
      error[6] += unit * symmetricError(block, sweep, TOP_LEVEL[6]);
      // Last, because the sweep then still holds the 4-bit scale.
      error[4] += unit * symmetricError(block, sweep, TOP_LEVEL[4]);
      near += nearThreshold(block, sweep.bestSquare / sweep.bestProduct, TOP_LEVEL[4]);
      onGrid += end - start;
    }
  }
  return { power, error, boundary: { near, expected: 2 * BOUNDARY_DELTA * onGrid } };
}

/** Load the weights that are not 0, relative to the largest magnitude, which is returned. */
function loadBlock(data: Float32Array, start: number, end: number, block: Block): number {
  let largest = 0;
  for (let index = start; index < end; index++) {
    const magnitude = Math.abs(data[index] as number);
    if (magnitude > largest) largest = magnitude;
  }
  if (largest === 0) return 0;
  const { magnitude, inverse, negative } = block;
  let length = 0;
  let power = 0;
  for (let index = start; index < end; index++) {
    const weight = data[index] as number;
    if (weight === 0) continue;
    const relative = Math.abs(weight) / largest;
    magnitude[length] = relative;
    inverse[length] = 1 / relative;
    negative[length] = weight < 0 ? 1 : 0;
    power += relative * relative;
    length++;
  }
  block.length = length;
  block.power = power;
  return largest;
}

/** Count the weights nearer than δ scales to one of the thresholds ½, 1½, … top−½ at the inverse scale `u`. */
function nearThreshold(block: Block, u: number, top: number): number {
  const { magnitude, length } = block;
  let near = 0;
  for (let index = 0; index < length; index++) {
    const inScales = (magnitude[index] as number) * u;
    const below = inScales | 0;
    if (below < top && Math.abs(inScales - below - 0.5) < BOUNDARY_DELTA) near++;
  }
  return near;
}
