/** The operations of the reference backend by name, as the workers and the inline path call them. */
import type { Matrix } from "../backend.ts";
import { copyWindow, gram } from "./gram.ts";
import { moments } from "./moments.ts";
import { osqeSums } from "./osqe.ts";
import { sigmaMax } from "./sigma-max.ts";
import { symmetricEigenvalues } from "./symmetric-eigenvalues.ts";

/** Eigenvalues of the Gram matrix of one window, descending, clamped at 0. */
function windowEigenvalues(matrix: Matrix, size: number, row: number, column: number): Float64Array {
  const values = symmetricEigenvalues(gram(copyWindow(matrix, size, row, column), size, size), size);
  return values.map((value) => Math.max(0, value));
}

export const OPERATIONS = { moments, osqe: osqeSums, windowEigenvalues, sigmaMax };

export type Operations = typeof OPERATIONS;
export type OperationName = keyof Operations;

/** What a caller sends to a worker: the operation, and its arguments with the matrix first. */
export interface Request {
  readonly operation: OperationName;
  readonly arguments: readonly [Matrix, ...number[]];
}

export type Reply = { readonly result: unknown } | { readonly error: string };

export function runOperation({ operation, arguments: values }: Request): unknown {
  const run: (matrix: Matrix, ...rest: number[]) => unknown = OPERATIONS[operation];
  return run(...values);
}
