/**
 * Largest singular value: from the Gram matrix A·Aᵀ or Aᵀ·A, whichever is smaller, where that is small enough to be
 * solved; else by block Krylov iteration on it (Musco and Musco, arXiv 1504.05477): Lanczos with blocks of 8 vectors
 * and full reorthogonalisation, and Rayleigh-Ritz on the whole space.
 */
import { Matrix as Dense, EigenvalueDecomposition, QrDecomposition } from "ml-matrix";
import { createRandom } from "../../random.ts";
import type { Matrix } from "../backend.ts";
import { gram } from "./gram.ts";
import { symmetricEigenvalues } from "./symmetric-eigenvalues.ts";

const BLOCK = 8;
/** Gaussian matrices, which have no gap, converge in 14 to 17 blocks; 9 left 3e-4 of σ₁ (measured, 300 × 420 to 4000). */
const MAX_BLOCKS = 24;

/** Order up to which the whole Gram matrix is solved: as fast as the iteration at 256 × 4096, and exact (measured). */
const DIRECT_ORDER = 256;

/** Relative growth of the Ritz value σ₁² under which the iteration ends; the error left is about half of it. */
const CONVERGED = 1e-6;

/** Compute σ₁; relative error ≤ 1e-4, 0 for a zero matrix. Deterministic: the start depends on the shape alone. */
export function sigmaMax(matrix: Matrix): number {
  const order = Math.min(matrix.rows, matrix.columns);
  if (order === 0) return 0;
  const square = order <= DIRECT_ORDER ? largestOfGram(matrix) : largestByKrylov(matrix, order);
  return Math.sqrt(Math.max(0, square));
}

function largestOfGram({ data, rows, columns }: Matrix): number {
  const order = Math.min(rows, columns);
  if (rows <= columns) return symmetricEigenvalues(gram(Float64Array.from(data), rows, columns), order)[0] ?? 0;
  const transposed = new Float64Array(rows * columns);
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      transposed[column * rows + row] = data[row * columns + column] as number;
    }
  }
  return symmetricEigenvalues(gram(transposed, columns, rows), order)[0] ?? 0;
}

function largestByKrylov(matrix: Matrix, order: number): number {
  const blocks: Dense[] = [orthonormalize(startBlock(matrix, order), [])];
  const projected: Dense[] = [];
  let largest = 0;
  for (;;) {
    const last = blocks[blocks.length - 1] as Dense;
    const image = applyGram(matrix, last, order);
    projected.push(image);
    const previous = largest;
    largest = largestRitzValue(blocks, projected);
    if (largest === 0 || largest - previous <= CONVERGED * largest || blocks.length === MAX_BLOCKS) return largest;
    blocks.push(orthonormalize(image, blocks));
  }
}

/** Uniform numbers in [−1, 1), seeded with the shape. */
function startBlock(matrix: Matrix, order: number): Dense {
  const random = createRandom(matrix.rows * 65_537 + matrix.columns);
  return Dense.from1DArray(
    order,
    BLOCK,
    Array.from({ length: order * BLOCK }, () => 2 * random() - 1),
  );
}

/** Orthonormal basis of the block's part outside `basis`; twice, so that what the first pass left is gone too. */
function orthonormalize(block: Dense, basis: readonly Dense[]): Dense {
  let result = block;
  for (let pass = 0; pass < 2; pass++) {
    result = result.clone();
    for (const known of basis) result.sub(known.mmul(known.transpose().mmul(result)));
    result = new QrDecomposition(result).orthogonalMatrix;
  }
  return result;
}

/** Largest eigenvalue of Qᵀ·G·Q for Q = all blocks, given G·Q. */
function largestRitzValue(blocks: readonly Dense[], images: readonly Dense[]): number {
  const order = blocks.length * BLOCK;
  const small = new Dense(order, order);
  for (const [j, image] of images.entries()) {
    for (const [i, block] of blocks.entries()) {
      if (i <= j) small.setSubMatrix(block.transpose().mmul(image), i * BLOCK, j * BLOCK);
    }
  }
  for (let i = 0; i < order; i++) {
    for (let j = 0; j < i; j++) small.set(i, j, small.get(j, i));
  }
  return Math.max(...new EigenvalueDecomposition(small, { assumeSymmetric: true }).realEigenvalues);
}

/** A·(Aᵀ·block) where rows are fewer, Aᵀ·(A·block) otherwise. */
function applyGram(matrix: Matrix, block: Dense, order: number): Dense {
  const vectors = Float64Array.from(block.to1DArray());
  const image =
    matrix.rows <= matrix.columns
      ? multiply(matrix, multiplyTransposed(matrix, vectors))
      : multiplyTransposed(matrix, multiply(matrix, vectors));
  return Dense.from1DArray(order, BLOCK, image);
}

/** A·X for X of `columns` × 8. */
function multiply({ data, rows, columns }: Matrix, x: Float64Array): Float64Array {
  const result = new Float64Array(rows * BLOCK);
  for (let row = 0; row < rows; row++) {
    const start = row * columns;
    let s0 = 0;
    let s1 = 0;
    let s2 = 0;
    let s3 = 0;
    let s4 = 0;
    let s5 = 0;
    let s6 = 0;
    let s7 = 0;
    for (let column = 0, at = 0; column < columns; column++, at += BLOCK) {
      const weight = data[start + column] as number;
      s0 += weight * (x[at] as number);
      s1 += weight * (x[at + 1] as number);
      s2 += weight * (x[at + 2] as number);
      s3 += weight * (x[at + 3] as number);
      s4 += weight * (x[at + 4] as number);
      s5 += weight * (x[at + 5] as number);
      s6 += weight * (x[at + 6] as number);
      s7 += weight * (x[at + 7] as number);
    }
    result.set([s0, s1, s2, s3, s4, s5, s6, s7], row * BLOCK);
  }
  return result;
}

/** Aᵀ·X for X of `rows` × 8. */
function multiplyTransposed({ data, rows, columns }: Matrix, x: Float64Array): Float64Array {
  const result = new Float64Array(columns * BLOCK);
  for (let row = 0; row < rows; row++) {
    const start = row * columns;
    const [x0, x1, x2, x3, x4, x5, x6, x7] = x.subarray(row * BLOCK, (row + 1) * BLOCK) as unknown as Eight;
    for (let column = 0, at = 0; column < columns; column++, at += BLOCK) {
      const weight = data[start + column] as number;
      result[at] = (result[at] as number) + weight * x0;
      result[at + 1] = (result[at + 1] as number) + weight * x1;
      result[at + 2] = (result[at + 2] as number) + weight * x2;
      result[at + 3] = (result[at + 3] as number) + weight * x3;
      result[at + 4] = (result[at + 4] as number) + weight * x4;
      result[at + 5] = (result[at + 5] as number) + weight * x5;
      result[at + 6] = (result[at + 6] as number) + weight * x6;
      result[at + 7] = (result[at + 7] as number) + weight * x7;
    }
  }
  return result;
}

type Eight = [number, number, number, number, number, number, number, number];
