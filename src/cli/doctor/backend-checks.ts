/** The backends, each measured on a small matrix. */
import type { Matrix } from "../../kernels/backend.ts";
import { createRandom } from "../../random.ts";
import { BACKENDS } from "../backends.ts";
import type { Check } from "./check.ts";

/** A million weights: work for every thread, and a tenth of a second where it is slow. */
const ROWS = 512;
const COLUMNS = 2048;
/** Milliseconds of measuring, after one call that warms up. */
const MEASURE_MS = 800;

/** Measure moments and OSQE, which see every weight of a sample, in every backend. */
export async function backendChecks(threads: number): Promise<Check[]> {
  const checks: Check[] = [];
  for (const [name, { open, problem }] of BACKENDS) {
    const unusable = problem();
    if (unusable !== undefined) {
      checks.push({ name: `backend ${name}`, ...absent(unusable) });
      continue;
    }
    const backend = open(threads);
    try {
      const nsPerWeight = await measure(async (matrix) => {
        await Promise.all([backend.moments(matrix), backend.osqe(matrix)]);
      });
      const gigabytes = Float32Array.BYTES_PER_ELEMENT / nsPerWeight;
      const speed = `${nsPerWeight.toFixed(nsPerWeight < 10 ? 1 : 0)} ns per weight, ${gigabytes.toPrecision(2)} GB/s of f32`;
      const detail = `${backend.description}; ${speed}`;
      checks.push({ name: `backend ${name}`, status: "ok", detail });
    } catch (error) {
      checks.push({ name: `backend ${name}`, status: "missing", detail: (error as Error).message });
    } finally {
      await backend.close();
    }
  }
  return checks;
}

/** A backend is a convenience: another one takes its place. Problems end with what to do, after a semicolon. */
function absent(problem: string): Pick<Check, "status" | "detail" | "remedy"> {
  const split = problem.lastIndexOf("; ");
  return { status: "absent", detail: problem.slice(0, split), remedy: problem.slice(split + 2) };
}

async function measure(compute: (matrix: Matrix) => Promise<void>): Promise<number> {
  const random = createRandom(1);
  const data = Float32Array.from({ length: ROWS * COLUMNS }, () => random() - 0.5);
  const matrix = { data, rows: ROWS, columns: COLUMNS };
  await compute(matrix);
  const started = performance.now();
  let calls = 0;
  do {
    await compute(matrix);
    calls++;
  } while (performance.now() - started < MEASURE_MS);
  return ((performance.now() - started) * 1e6) / (calls * data.length);
}
