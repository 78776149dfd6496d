/**
 * Largest eigenvalue of a Gram matrix by block Krylov iteration (Musco and Musco, arXiv 1504.05477) with the products on
 * a device: Lanczos with blocks of 8 vectors, full reorthogonalisation, and Rayleigh-Ritz on the whole space. Vectors are
 * rows, so that a block is appended to the basis by stacking. The device works in 32 bits; what is small (8 × 8 and the
 * projected matrix) is solved here in 64.
 */
import { Matrix as Dense64, EigenvalueDecomposition } from "ml-matrix";
import { createRandom } from "../../random.ts";
import { symmetricEigenvalues } from "../reference/symmetric-eigenvalues.ts";
import type { Products } from "./products.ts";

const BLOCK = 8;
/** As in the reference: Gaussian matrices, which have no gap, converge in 14 to 17 blocks. */
const MAX_BLOCKS = 24;
/** Relative growth of the largest Ritz value under which the iteration ends; a few times the rounding of 32 bits. */
const CONVERGED = 1e-6;
/** Share of a block's power outside the basis under which it is rounding (32 bits leave about 1e-13). */
const EXHAUSTED = 1e-11;
/** Directions weaker than this share of a block's strongest one, in power, are dropped as rounding. */
const DROPPED = 1e-6;

/**
 * Compute the largest eigenvalue of the positive semidefinite operator `apply`, which maps a block (8 vectors of length
 * `order`, as rows) to its image. Deterministic: the start depends on order and seed alone. `apply` leaves its argument
 * to the caller.
 */
export async function largestEigenvalue<Dense>(
  products: Products<Dense>,
  order: number,
  seed: number,
  apply: (block: Dense) => Dense,
): Promise<number> {
  const projected = new Float64Array((MAX_BLOCKS * BLOCK) ** 2);
  const start = await orthonormalized(products, startBlock(products, order, seed), 0);
  if (start === undefined) return 0;
  let { block } = start;
  let basis = products.stack([block]);
  let largest = 0;
  try {
    for (let blocks = 1; ; blocks++) {
      const image = apply(block);
      const coefficients = products.multiply(basis, image, false, true);
      const values = await products.read(coefficients);
      const previous = largest;
      largest = largestRitzValue(projected, values, blocks);
      if (largest === 0 || largest - previous <= CONVERGED * largest || blocks === MAX_BLOCKS) {
        products.release(image, coefficients);
        return largest;
      }
      const next = await outsideOf(products, basis, image, coefficients, sumOfSquares(values));
      if (next === undefined) return largest;
      products.release(block);
      block = next.block;
      const grown = products.stack([basis, block]);
      products.release(basis);
      basis = grown;
    }
  } finally {
    products.release(block, basis);
  }
}

/** Uniform numbers in [−1, 1). */
function startBlock<Dense>(products: Products<Dense>, order: number, seed: number): Dense {
  const random = createRandom(seed);
  return products.upload(
    Float32Array.from({ length: BLOCK * order }, () => 2 * random() - 1),
    BLOCK,
    order,
  );
}

/** Orthonormal basis of the part of `image` outside `basis`, or undefined where nothing is. Releases all but `basis`. */
async function outsideOf<Dense>(
  products: Products<Dense>,
  basis: Dense,
  image: Dense,
  coefficients: Dense,
  power: number,
): Promise<{ readonly block: Dense } | undefined> {
  const once = withoutBasis(products, basis, image, coefficients);
  // What rounding left of the basis in the first pass is gone after the second.
  const twice = withoutBasis(products, basis, once, products.multiply(basis, once, false, true));
  const unit = await orthonormalized(products, twice, EXHAUSTED * power);
  if (unit === undefined) return undefined;
  const cleaned = withoutBasis(products, basis, unit.block, products.multiply(basis, unit.block, false, true));
  return orthonormalized(products, cleaned, 0);
}

function withoutBasis<Dense>(products: Products<Dense>, basis: Dense, block: Dense, coefficients: Dense): Dense {
  const inside = products.multiply(coefficients, basis, true, false);
  const outside = products.addScaled(block, inside, -1);
  products.release(block, coefficients, inside);
  return outside;
}

/**
 * Rows of one span with `block`'s, orthonormal up to rounding, with zero rows for directions it lacks; undefined where
 * its power is at most `floor`. Twice, since the first pass squares the condition. Releases `block`.
 */
async function orthonormalized<Dense>(
  products: Products<Dense>,
  block: Dense,
  floor: number,
): Promise<{ readonly block: Dense } | undefined> {
  let result = block;
  for (let pass = 0; pass < 2; pass++) {
    const product = products.multiply(result, result, false, true);
    const whitening = whiten(await products.read(product), pass === 0 ? floor : 0);
    products.release(product);
    if (whitening === undefined) {
      products.release(result);
      return undefined;
    }
    const factor = products.upload(whitening, BLOCK, BLOCK);
    const next = products.multiply(factor, result, false, false);
    products.release(factor, result);
    result = next;
  }
  return { block: result };
}

/** Λ^−½·Vᵀ of the 8 × 8 matrix VΛVᵀ, zero rows where Λ is lost to rounding; undefined where all of it is. */
function whiten(values: Float32Array, floor: number): Float32Array | undefined {
  const gram = Dense64.from1DArray(BLOCK, BLOCK, Array.from(values));
  const { realEigenvalues, eigenvectorMatrix } = new EigenvalueDecomposition(gram, { assumeSymmetric: true });
  const largest = Math.max(...realEigenvalues);
  if (!(largest > floor)) return undefined;
  const rows = realEigenvalues.map((value, at) => {
    const scale = value > Math.max(DROPPED * largest, floor) ? 1 / Math.sqrt(value) : 0;
    return eigenvectorMatrix.getColumn(at).map((component) => scale * component);
  });
  return Float32Array.from(rows.flat());
}

/** Add the newest block's coefficients (basis × 8) to the projected matrix and give its largest eigenvalue. */
function largestRitzValue(projected: Float64Array, values: Float32Array, blocks: number): number {
  const stride = MAX_BLOCKS * BLOCK;
  const order = blocks * BLOCK;
  for (let i = 0; i < order; i++) {
    for (let j = 0; j < BLOCK; j++) {
      // The eigenvalues are read from the lower triangle: the newest block is its last rows.
      projected[(order - BLOCK + j) * stride + i] = values[i * BLOCK + j] as number;
    }
  }
  const lower = new Float64Array(order * order);
  for (let row = 0; row < order; row++) {
    lower.set(projected.subarray(row * stride, row * stride + order), row * order);
  }
  return Math.max(0, symmetricEigenvalues(lower, order)[0] ?? 0);
}

function sumOfSquares(values: Float32Array): number {
  return values.reduce((sum, value) => sum + value * value, 0);
}
