/** Hold a freshly loaded library against the reference on one small matrix, each operation once. */
import { createRandom } from "../random.ts";
import type { Matrix } from "./backend.ts";
import { decodeRows } from "./decode.ts";
import { type NativeLibrary, STATUS } from "./native-library.ts";
import { OPERATIONS } from "./reference/operations.ts";

/** Odd sizes, so that the remainders of every loop run. */
const ROWS = 37;
const COLUMNS = 71;
const WINDOW = 33;

/** Relative difference to the reference that is no fault: what every backend owes (test/kernels/tolerances.ts). */
const TOLERANCE = 5e-3;

const checked = new WeakMap<NativeLibrary, { readonly problem: string | undefined }>();

/** What the library computes wrongly, or undefined. Computed once. */
export function selfCheckProblem(library: NativeLibrary): string | undefined {
  const known = checked.get(library) ?? { problem: findProblem(library) };
  checked.set(library, known);
  return known.problem;
}

function findProblem(library: NativeLibrary): string | undefined {
  const random = createRandom(1);
  const data = Float32Array.from({ length: ROWS * COLUMNS }, () => random() + random() - 1);
  const matrix = { data, rows: ROWS, columns: COLUMNS };
  for (const [name, [status, found, expected]] of Object.entries(results(library, matrix))) {
    if (
      status !== STATUS.ok ||
      found.length !== expected.length ||
      !found.every((value, at) => isClose(value, expected[at]))
    ) {
      return `its ${name} differ from the reference on this machine; use --backend reference, and report this with the processor's name`;
    }
  }
  return undefined;
}

type Outcome = readonly [status: number, found: readonly number[], expected: readonly number[]];

function results(library: NativeLibrary, matrix: Matrix): Record<string, Outcome> {
  const { data, rows, columns } = matrix;
  const rowPower = new Float64Array(rows);
  const columnPower = new Float64Array(columns);
  const sums = new Float64Array(7);
  const values = new Float64Array(WINDOW);
  const [one, sigma] = [new Float64Array(1), new Float64Array(1)];
  const moments = OPERATIONS.moments(matrix);
  const osqe = OPERATIONS.osqe(matrix);
  const offset = columns - WINDOW;
  // Every kind of half and every bf16: normal, subnormal, zero, of either sign.
  const stored = Uint16Array.from({ length: 1 + 2 * COLUMNS }, (_, at) => at * 460);
  const bytes = new Uint8Array(stored.buffer);
  const [halves, brainHalves] = [new Float32Array(stored.length), new Float32Array(stored.length)];
  const eigenvalues = OPERATIONS.windowEigenvalues(matrix, WINDOW, 1, offset);
  return {
    "decoded halves": [
      library.decode(0, bytes, stored.length, 1, halves),
      finite(halves),
      finite(decodeRows("F16", bytes)),
    ],
    "decoded bf16 weights": [
      library.decode(1, bytes, stored.length, 1, brainHalves),
      finite(brainHalves),
      finite(decodeRows("BF16", bytes)),
    ],
    moments: [
      library.moments(data, rows, columns, 1, rowPower, columnPower, one),
      [...rowPower, ...columnPower],
      [...moments.rowPower, ...moments.columnPower],
    ],
    "quantization errors": [
      library.osqe(data, rows, columns, 1, sums),
      [...sums.subarray(0, 5)],
      [osqe.power, osqe.error[2], osqe.error[3], osqe.error[4], osqe.error[6]],
    ],
    "window eigenvalues": [
      library.windowEigenvalues(data, rows, columns, WINDOW, BigInt64Array.of(BigInt(offset)), 1, 1, 1, values),
      // The smallest ones are lost to rounding in any arithmetic.
      [...values.subarray(0, WINDOW / 2)],
      [...eigenvalues.subarray(0, WINDOW / 2)],
    ],
    "largest singular values": [
      library.sigmaMax(data, rows, columns, 1, sigma),
      [...sigma],
      [OPERATIONS.sigmaMax(matrix)],
    ],
  };
}

function finite(weights: Float32Array): number[] {
  return [...weights].filter(Number.isFinite);
}

function isClose(found: number, expected = Number.NaN): boolean {
  return Math.abs(found - expected) <= TOLERANCE * Math.abs(expected);
}
