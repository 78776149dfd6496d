import { BackendError } from "../errors.ts";
import type { Matrix } from "./backend.ts";

/** Throw BackendError where the weights are not rows × columns 32-bit numbers. */
export function checkMatrix(backend: string, { data, rows, columns }: Matrix): void {
  if (data instanceof Float32Array && isCount(rows) && isCount(columns) && data.length === rows * columns) return;
  throw new BackendError(
    `${backend} backend: a matrix of ${rows} × ${columns} has ${data.length} weights, expected rows × columns 32-bit numbers`,
  );
}

/** Throw BackendError where a window leaves the matrix. */
export function checkWindows(
  backend: string,
  matrix: Matrix,
  size: number,
  columnOffsets: readonly number[],
  row: number,
): void {
  checkMatrix(backend, matrix);
  const { rows, columns } = matrix;
  const fits = (offset: number, length: number) => isCount(offset) && offset + size <= length;
  if (isCount(size) && fits(row, rows) && columnOffsets.every((offset) => fits(offset, columns))) return;
  throw new BackendError(
    `${backend} backend: windows of ${size} × ${size} at row ${row}, columns ${columnOffsets.join(", ")} leave the matrix of ${rows} × ${columns}`,
  );
}

function isCount(value: number): boolean {
  return Number.isSafeInteger(value) && value >= 0;
}
