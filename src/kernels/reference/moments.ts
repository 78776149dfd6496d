import type { Matrix, Moments } from "../backend.ts";

/** Sum the squares of every row and every column; NaN and infinite weights are counted and left out. */
export function moments(matrix: Matrix): Moments {
  const { data, rows, columns } = matrix;
  const rowPower = new Float64Array(rows);
  const columnPower = new Float64Array(columns);
  let nonFinite = 0;
  for (let row = 0; row < rows; row++) {
    const start = row * columns;
    let power = 0;
    for (let column = 0; column < columns; column++) {
      const weight = data[start + column] as number;
      // w − w is 0 for every finite weight and NaN for the others.
      if (weight - weight !== 0) {
        nonFinite++;
        continue;
      }
      const square = weight * weight;
      power += square;
      columnPower[column] = (columnPower[column] as number) + square;
    }
    rowPower[row] = power;
  }
  return { rowPower, columnPower, nonFinite };
}
