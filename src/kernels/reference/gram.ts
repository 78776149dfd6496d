import type { Matrix } from "../backend.ts";

/** Copy the window of `size` × `size` weights at the offsets, widened to 64 bits. */
export function copyWindow(matrix: Matrix, size: number, rowOffset: number, columnOffset: number): Float64Array {
  const { data, columns } = matrix;
  const window = new Float64Array(size * size);
  for (let row = 0; row < size; row++) {
    const start = (rowOffset + row) * columns + columnOffset;
    window.set(data.subarray(start, start + size), row * size);
  }
  return window;
}

/**
 * Compute the lower triangle of A·Aᵀ for A of `rows` × `columns`, into a row-major `rows` × `rows` array whose upper
 * triangle stays 0. Tiles of 4 × 2 rows keep the eight sums in registers; every sum runs in column order, so the
 * result does not depend on the tiling.
 */
export function gram(a: Float64Array, rows: number, columns: number): Float64Array {
  const result = new Float64Array(rows * rows);
  const tiledRows = rows - (rows % 4);
  for (let i = 0; i < tiledRows; i += 4) {
    for (let j = 0; j < i + 4; j += 2) tile4x2(a, columns, i, j, result, rows);
  }
  for (let i = tiledRows; i < rows; i++) {
    for (let j = 0; j <= i; j++) result[i * rows + j] = dot(a, i * columns, j * columns, columns);
  }
  // A tile that straddles the diagonal also wrote above it.
  for (let i = 0; i < rows; i++) result.fill(0, i * rows + i + 1, (i + 1) * rows);
  return result;
}

function tile4x2(a: Float64Array, columns: number, i: number, j: number, result: Float64Array, rows: number): void {
  const i0 = i * columns;
  const i1 = i0 + columns;
  const i2 = i1 + columns;
  const i3 = i2 + columns;
  const j0 = j * columns;
  const j1 = j0 + columns;
  let s00 = 0;
  let s01 = 0;
  let s10 = 0;
  let s11 = 0;
  let s20 = 0;
  let s21 = 0;
  let s30 = 0;
  let s31 = 0;
  for (let k = 0; k < columns; k++) {
    const b0 = a[j0 + k] as number;
    const b1 = a[j1 + k] as number;
    const a0 = a[i0 + k] as number;
    const a1 = a[i1 + k] as number;
    const a2 = a[i2 + k] as number;
    const a3 = a[i3 + k] as number;
    s00 += a0 * b0;
    s01 += a0 * b1;
    s10 += a1 * b0;
    s11 += a1 * b1;
    s20 += a2 * b0;
    s21 += a2 * b1;
    s30 += a3 * b0;
    s31 += a3 * b1;
  }
  const at = i * rows + j;
  result[at] = s00;
  result[at + 1] = s01;
  result[at + rows] = s10;
  result[at + rows + 1] = s11;
  result[at + 2 * rows] = s20;
  result[at + 2 * rows + 1] = s21;
  result[at + 3 * rows] = s30;
  result[at + 3 * rows + 1] = s31;
}

function dot(a: Float64Array, first: number, second: number, length: number): number {
  let sum = 0;
  for (let k = 0; k < length; k++) sum += (a[first + k] as number) * (a[second + k] as number);
  return sum;
}
