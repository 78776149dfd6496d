/** Matrices the backends are compared on: every shape of trouble, small, deterministic. */

import type { Matrix } from "../../src/kernels/backend.ts";
import { createNormal, createRandom } from "../../src/random.ts";

export function fill(rows: number, columns: number, weight: (row: number, column: number) => number): Matrix {
  const data = new Float32Array(rows * columns);
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) data[row * columns + column] = weight(row, column);
  }
  return { data, rows, columns };
}

export function gaussian(rows: number, columns: number, seed = 1): Matrix {
  const normal = createNormal(createRandom(seed));
  return fill(rows, columns, () => normal());
}

/** Student's t with 3 degrees of freedom. */
export function heavyTailed(rows: number, columns: number, seed = 2): Matrix {
  const normal = createNormal(createRandom(seed));
  return fill(rows, columns, () => normal() / Math.sqrt((normal() ** 2 + normal() ** 2 + normal() ** 2) / 3));
}

/** Noise on a few strong directions, with outlier columns. */
export function structured(rows: number, columns: number, seed = 3): Matrix {
  const normal = createNormal(createRandom(seed));
  const left = Array.from({ length: rows }, normal);
  const right = Array.from({ length: columns }, (_, column) => normal() * (column % 37 === 0 ? 20 : 1));
  return fill(rows, columns, (row, column) => 0.02 * ((left[row] ?? 0) * (right[column] ?? 0) + 0.3 * normal()));
}

export function uniform(rows: number, columns: number, seed = 4): Matrix {
  const random = createRandom(seed);
  return fill(rows, columns, () => 1e-3 * (random() - 0.5));
}

export const SAMPLES: readonly (readonly [string, Matrix])[] = [
  ["Gaussian 64 × 64", gaussian(64, 64)],
  ["Gaussian 97 × 131, odd sizes", gaussian(97, 131, 5)],
  ["Gaussian 130 × 70, tall", gaussian(130, 70, 6)],
  ["Gaussian 1 × 97", gaussian(1, 97, 7)],
  ["Gaussian 97 × 1", gaussian(97, 1, 8)],
  ["Gaussian 3 × 2", gaussian(3, 2, 9)],
  ["heavy-tailed 80 × 200", heavyTailed(80, 200)],
  ["structured 90 × 150", structured(90, 150)],
  ["uniform 65 × 99", uniform(65, 99)],
  ["constant 66 × 70", fill(66, 70, () => -0.25)],
  ["zero 64 × 65", fill(64, 65, () => 0)],
  ["large weights 64 × 66", fill(64, 66, (row, column) => 1e30 * Math.sin(1 + row * 66 + column * column))],
];
