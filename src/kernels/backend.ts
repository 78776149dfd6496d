/**
 * What a kernels backend computes for analyze/. One implementation is the oracle (reference); the others must agree
 * with it within the tolerances of test/kernels. Backends know nothing of models or files: matrices in, numbers out.
 * All matrices are row-major Float32Array of `rows` × `columns`, a row lying along ne[0]. Only `moments` looks for
 * NaN and infinities; the other operations are given finite weights. A matrix is not written to once it was handed
 * over, so a backend may keep what it made of it (an upload, say) for the next call with the same object. Calls may
 * overlap: a backend queues or batches them. A call that fails rejects with a BackendError.
 */

import type { DecodableType } from "./decode.ts";

/** Weights that share a scale in `osqe`; the last block of a row may be shorter. */
export const OSQE_BLOCK = 32;

/** Distance to a decision threshold, in units of the scale, under which a weight counts as near it. */
export const BOUNDARY_DELTA = 0.1;

export interface Matrix {
  readonly data: Float32Array;
  readonly rows: number;
  readonly columns: number;
  /** The same weights as they are stored, little-endian: what goes to a device, half as many bytes for f16 and bf16. */
  readonly stored?: StoredWeights;
}

export interface StoredWeights {
  readonly type: DecodableType;
  readonly bytes: Uint8Array;
}

/** Sums over all weights of a matrix that several metrics share; additive over pieces of a tensor. */
export interface Moments {
  /** Σ w² of each row. */
  readonly rowPower: Float64Array;
  /** Σ w² of each column. */
  readonly columnPower: Float64Array;
  /** NaN and infinite weights; they are left out of the sums. */
  readonly nonFinite: number;
}

export interface OsqeSums {
  /** Σ w². */
  readonly power: number;
  /** Squared error at 2, 3, 4 and 6 bits. */
  readonly error: Readonly<Record<2 | 3 | 4 | 6, number>>;
  /**
   * `near`: weights nearer than `BOUNDARY_DELTA`·scale to a decision threshold of the 4-bit grid of their block.
   * `expected`: how many a density that is smooth at that scale has there, 2·`BOUNDARY_DELTA` of the weights in blocks
   * that are not all zero.
   */
  readonly boundary: { readonly near: number; readonly expected: number };
}

/** What a backend of the processor is opened with. */
export interface ProcessorOptions {
  /** Threads that compute at once, over all calls. */
  readonly threads?: number;
}

export interface Backend {
  readonly name: "reference" | "native" | "webgpu" | "tfjs";
  /** One line for a person: what computes (threads, ISA, device). */
  readonly description: string;
  /** Stored weights as f32, where the backend does it faster than decodeRows of decode.ts; exactly the same. */
  decode?(type: DecodableType, bytes: Uint8Array): Promise<Float32Array>;
  moments(matrix: Matrix): Promise<Moments>;
  /**
   * Block-32 scale-optimal quantization error and boundary density sums. Levels are −2…1 with a scale of either sign
   * at 2 bits and ±(2^(b−1)−1) at 3, 4 and 6 bits. Each error is within 0.5 % of an exhaustive search of the scale.
   */
  osqe(matrix: Matrix): Promise<OsqeSums>;
  /** Eigenvalues (descending, clamped at 0) of the Gram matrix of the window `size` × `size` at each column offset. */
  windowEigenvalues(
    matrix: Matrix,
    size: number,
    columnOffsets: readonly number[],
    rowOffset: number,
  ): Promise<Float64Array[]>;
  /** Largest singular value, relative error ≤ 1e-4. */
  sigmaMax(matrix: Matrix): Promise<number>;
  close(): Promise<void>;
}
