/** How fast a backend computes the metrics of a sampled tensor. */
import type { Backend, Matrix } from "../kernels/backend.ts";
import { createRandom } from "../random.ts";

/** The sample of a tensor: 256 rows, four windows across them. */
const ROWS = 256;
const COLUMNS = 4096;
const WINDOW_OFFSETS = [0, 1280, 2560, 3840];

/**
 * Measure moments, OSQE, σ₁ and window eigenvalues of matrices of 256 × 4096 for `milliseconds`, after one call that
 * warms up: nanoseconds per weight, the transfer to a device included.
 */
export async function nanosecondsPerWeight(backend: Backend, milliseconds: number): Promise<number> {
  const random = createRandom(1);
  const data = Float32Array.from({ length: ROWS * COLUMNS }, () => random() - 0.5);
  // A new matrix for every call: a backend may keep what it made of one it knows.
  const compute = async () => {
    const matrix: Matrix = { data, rows: ROWS, columns: COLUMNS };
    await backend.moments(matrix);
    await Promise.all([
      backend.osqe(matrix),
      backend.sigmaMax(matrix),
      backend.windowEigenvalues(matrix, ROWS, WINDOW_OFFSETS, 0),
    ]);
  };
  await compute();
  const started = performance.now();
  let calls = 0;
  do {
    await compute();
    calls++;
  } while (performance.now() - started < milliseconds);
  return ((performance.now() - started) * 1e6) / (calls * data.length);
}
