/**
 * Spectra of a matrix with the products on a device: Gram matrices and Krylov images there in 32 bits, eigenvalues of
 * what is small here in 64. Weights are brought near 1 by a power of two, so that squares stay in the range of 32 bits.
 */
import type { Matrix } from "../backend.ts";
import { symmetricEigenvalues } from "../reference/symmetric-eigenvalues.ts";
import { largestEigenvalue } from "./block-krylov.ts";
import type { Products } from "./products.ts";

/** Order up to which the whole Gram matrix is solved, as in the reference. */
const DIRECT_ORDER = 256;

/** Largest magnitudes between the inverse of this and itself are left as they are. */
const SAFE_MAGNITUDE = 2 ** 20;

/** Compute σ₁ of a matrix in the processor's memory; 0 for one without weights or of zeros. */
export async function sigmaMaxOnDevice<Dense>(products: Products<Dense>, matrix: Matrix): Promise<number> {
  const { rows, columns } = matrix;
  const { data, scale } = scaledNearOne(matrix.data);
  if (scale === 0) return 0;
  const dense = products.upload(data, rows, columns);
  try {
    return (await sigmaMaxOfDense(products, [dense], rows, columns)) / scale;
  } finally {
    products.release(dense);
  }
}

/** Compute σ₁ of a matrix of `rows` × `columns` that lies on the device in one or several pieces of its rows. */
export async function sigmaMaxOfDense<Dense>(
  products: Products<Dense>,
  pieces: readonly Dense[],
  rows: number,
  columns: number,
): Promise<number> {
  const [only] = pieces;
  if (only === undefined) return 0;
  const order = Math.min(rows, columns);
  if (pieces.length === 1 && order <= DIRECT_ORDER) {
    const [square = 0] = await gramEigenvalues(products, only, order, rows > columns);
    return Math.sqrt(square);
  }
  // Aᵀ·A is the sum of those of the pieces, so several of them are taken from this side whatever the shape.
  const fromColumns = pieces.length > 1 || rows > columns;
  const square = await largestEigenvalue(products, fromColumns ? columns : rows, rows * 65_537 + columns, (block) =>
    sum(
      products,
      pieces.map((piece) => applyGram(products, piece, block, fromColumns)),
    ),
  );
  return Math.sqrt(square);
}

function sum<Dense>(products: Products<Dense>, terms: readonly Dense[]): Dense {
  return terms.reduce((total, term) => {
    const next = products.addScaled(total, term, 1);
    products.release(total, term);
    return next;
  });
}

/** Compute the eigenvalues (descending, not negative) of the Gram matrix of each window; they lie in `matrix`. */
export async function windowEigenvaluesOnDevice<Dense>(
  products: Products<Dense>,
  matrix: Matrix,
  size: number,
  columnOffsets: readonly number[],
  rowOffset: number,
): Promise<Float64Array[]> {
  if (size === 0) return columnOffsets.map(() => new Float64Array(0));
  return Promise.all(
    columnOffsets.map(async (column) => {
      const { data, scale } = scaledNearOne(copyWindow(matrix, size, rowOffset, column));
      if (scale === 0) return new Float64Array(size);
      const window = products.upload(data, size, size);
      try {
        const values = await gramEigenvalues(products, window, size, false);
        return values.map((value) => value / scale / scale);
      } finally {
        products.release(window);
      }
    }),
  );
}

/** Eigenvalues of A·Aᵀ, or of Aᵀ·A, descending, clamped at 0. */
async function gramEigenvalues<Dense>(
  products: Products<Dense>,
  dense: Dense,
  order: number,
  transposed: boolean,
): Promise<Float64Array> {
  const gram = products.multiply(dense, dense, transposed, !transposed);
  try {
    const lower = Float64Array.from(await products.read(gram));
    return symmetricEigenvalues(lower, order).map((value) => Math.max(0, value));
  } finally {
    products.release(gram);
  }
}

/** Rows v of `block` → v·Aᵀ·A from the columns, v·A·Aᵀ otherwise. */
function applyGram<Dense>(products: Products<Dense>, dense: Dense, block: Dense, fromColumns: boolean): Dense {
  const half = products.multiply(block, dense, false, fromColumns);
  const image = products.multiply(half, dense, false, !fromColumns);
  products.release(half);
  return image;
}

function copyWindow({ data, columns }: Matrix, size: number, rowOffset: number, columnOffset: number): Float32Array {
  const window = new Float32Array(size * size);
  for (let row = 0; row < size; row++) {
    const start = (rowOffset + row) * columns + columnOffset;
    window.set(data.subarray(start, start + size), row * size);
  }
  return window;
}

/** The weights times `scale`, a power of two: 1 where the largest is near 1 already, 0 where all are 0. */
function scaledNearOne(data: Float32Array): { readonly data: Float32Array; readonly scale: number } {
  let largest = 0;
  for (let index = 0; index < data.length; index++) largest = Math.max(largest, Math.abs(data[index] as number));
  if (largest === 0) return { data, scale: 0 };
  if (largest < SAFE_MAGNITUDE && largest > 1 / SAFE_MAGNITUDE) return { data, scale: 1 };
  const scale = 2 ** -Math.floor(Math.log2(largest));
  return { data: data.map((weight) => weight * scale), scale };
}
