/** The backends, each measured on the metrics of a sampled tensor. */
import { nanosecondsPerWeight } from "../../kernels/backend-speed.ts";
import { BACKENDS } from "../../kernels/open-backend.ts";
import type { Check } from "./check.ts";

/** Milliseconds of measuring, after one call that warms up. */
const MEASURE_MS = 800;

/** Open and measure every backend. */
export async function backendChecks(threads: number): Promise<Check[]> {
  const checks: Check[] = [];
  for (const [name, open] of BACKENDS) {
    const backend = await open(threads);
    if (typeof backend === "string") {
      checks.push({ name: `backend ${name}`, ...absent(backend) });
      continue;
    }
    try {
      const ns = await nanosecondsPerWeight(backend, MEASURE_MS);
      const gigabytes = Float32Array.BYTES_PER_ELEMENT / ns;
      const speed = `${ns.toFixed(ns < 10 ? 1 : 0)} ns per weight, ${gigabytes.toPrecision(2)} GB/s of f32`;
      checks.push({ name: `backend ${name}`, status: "ok", detail: `${backend.description}; ${speed}` });
    } catch (error) {
      checks.push({ name: `backend ${name}`, ...failed(error as Error) });
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

function failed(error: Error): Pick<Check, "status" | "detail"> {
  return { status: "missing", detail: error.message };
}
