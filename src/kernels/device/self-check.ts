/** Hold a backend that computes on a device against the reference on one small matrix, each operation once. */
import { createRandom } from "../../random.ts";
import type { Backend } from "../backend.ts";
import { OPERATIONS } from "../reference/operations.ts";

/** Odd sizes, so that the remainders of every tile run. */
const ROWS = 37;
const COLUMNS = 71;
const WINDOW = 33;

/** 32-bit arithmetic stays below 1e-4; tensor cores that round to 10 bits (TF32) do not stay below this. */
const TOLERANCE = 2e-4;
/** What is demanded of a search of scales. */
const OSQE_TOLERANCE = 5e-3;

/** What the backend computes wrongly, or undefined. */
export async function deviceProblem(backend: Backend): Promise<string | undefined> {
  const random = createRandom(1);
  const data = Float32Array.from({ length: ROWS * COLUMNS }, () => random() + random() - 1);
  const matrix = { data, rows: ROWS, columns: COLUMNS };
  const offset = COLUMNS - WINDOW;
  const [moments, osqe, sigma, [values]] = await Promise.all([
    backend.moments(matrix),
    backend.osqe(matrix),
    backend.sigmaMax(matrix),
    backend.windowEigenvalues(matrix, WINDOW, [offset], 1),
  ]);
  const exact = OPERATIONS.moments(matrix);
  const exactOsqe = OPERATIONS.osqe(matrix);
  const pairs: Record<string, readonly [found: readonly number[], expected: readonly number[], tolerance?: number]> = {
    moments: [
      [...moments.rowPower, ...moments.columnPower],
      [...exact.rowPower, ...exact.columnPower],
    ],
    "quantization errors": [Object.values(osqe.error), Object.values(exactOsqe.error), OSQE_TOLERANCE],
    "largest singular values": [[sigma], [OPERATIONS.sigmaMax(matrix)]],
    // The smallest ones are lost to rounding.
    "window eigenvalues": [
      [...(values ?? [])].slice(0, WINDOW / 2),
      [...OPERATIONS.windowEigenvalues(matrix, WINDOW, 1, offset)].slice(0, WINDOW / 2),
    ],
  };
  for (const [name, [found, expected, tolerance = TOLERANCE]] of Object.entries(pairs)) {
    const same =
      found.length === expected.length &&
      found.every((value, at) => Math.abs(value - (expected[at] ?? Number.NaN)) <= tolerance * (expected[at] ?? 0));
    if (!same) return `its ${name} differ from the reference on this device; use --backend native or reference`;
  }
  return undefined;
}
