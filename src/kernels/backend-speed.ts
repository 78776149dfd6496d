/** How fast a backend computes the metrics of a sampled tensor. */

import { createRandom } from "../random.ts";
import type { Backend, Matrix } from "./backend.ts";

/** The sample of a tensor: 256 rows, four windows across them. */
const ROWS = 256;
const COLUMNS = 4096;
const WINDOWS = 4;
/** Columns of the call that warms up: it compiles what there is to compile. */
const WARM_UP_COLUMNS = 512;

/**
 * Measure moments, OSQE, σ₁ and window eigenvalues of matrices of 256 × 4096 for `milliseconds`, after one call that
 * warms up: nanoseconds per weight, the transfer to a device included.
 */
export async function nanosecondsPerWeight(backend: Backend, milliseconds: number): Promise<number> {
  const random = createRandom(1);
  const data = Float32Array.from({ length: ROWS * COLUMNS }, () => random() - 0.5);
  await measureOnce(backend, { data: data.subarray(0, ROWS * WARM_UP_COLUMNS), rows: ROWS, columns: WARM_UP_COLUMNS });
  const started = performance.now();
  let calls = 0;
  do {
    // A new object every time: a backend may keep what it made of one it knows.
    await measureOnce(backend, { data, rows: ROWS, columns: COLUMNS });
    calls++;
  } while (performance.now() - started < milliseconds);
  return ((performance.now() - started) * 1e6) / (calls * data.length);
}

async function measureOnce(backend: Backend, matrix: Matrix): Promise<void> {
  const step = (matrix.columns - ROWS) / (WINDOWS - 1);
  const offsets = Array.from({ length: WINDOWS }, (_, at) => Math.floor(at * step));
  await backend.moments(matrix);
  await Promise.all([
    backend.osqe(matrix),
    backend.sigmaMax(matrix),
    backend.windowEigenvalues(matrix, ROWS, offsets, 0),
  ]);
}
