/**
 * Probes compared on the same chunks. ln KLD of a probe on a chunk is the probe's own value, what the chunk does to every
 * probe, and an error: chunks differ by more than a probe's errors do, and what they have in common moves only the level
 * of all densities, which no plan depends on. A linear mixed model: probes fixed, chunks random.
 */
import { inverse, Matrix } from "ml-matrix";
import type { ProbedChunk } from "../sensitivity/density-document.ts";
import { meanOfChunks } from "./measure-probe.ts";

export interface ProbeReading {
  /** Nats, as if on all chunks that any probe was measured on. */
  readonly kld: number;
  /** Of the comparison with the other probes. */
  readonly se: number;
}

/**
 * Standard deviation of ln KLD that is left of a chunk, and how its square compares with that of what chunks have in
 * common: .14 to .17, and .4 to .7, on three models (research/probe-designs.ts).
 */
export const CHUNK_SD = 0.15;
const ERROR_TO_CHUNK_VARIANCE = 0.6;
/** Chunks that CHUNK_SD counts for beside a probe's own. */
const PRIOR_CHUNKS = 4;
/** A mean of so many standard errors is seen; its chunks have logarithms. */
const CLEAR_STANDARD_ERRORS = 3;

/** Each probe's chunks, first to last of the same order, any number of them → its KL divergence and error. */
export function pairProbes(probes: readonly (readonly ProbedChunk[])[]): ProbeReading[] {
  const raw = probes.map(meanOfChunks);
  const logs = probes.map((perChunk, index) => logsOf(perChunk, raw[index] as ProbeReading));
  const clear = logs.filter((values) => values !== undefined);
  const common = chunkEffects(clear);
  const level = meanExposure(clear, common.effects.length);
  return logs.map((values, index): ProbeReading => {
    if (values === undefined) return raw[index] as ProbeReading;
    const left = values.map((value, chunk) => value - (common.effects[chunk] as number));
    const own = left.reduce((sum, value) => sum + value, 0) / left.length;
    const squares = left.reduce((sum, value) => sum + (value - own) ** 2, 0);
    const errorVariance = (squares + PRIOR_CHUNKS * CHUNK_SD ** 2) / (PRIOR_CHUNKS + left.length - 1);
    const exposure = level.map((mean, chunk) => (chunk < left.length ? 1 / left.length : 0) - mean);
    const variance = errorVariance / left.length + CHUNK_SD ** 2 * quadratic(common.covariance, exposure);
    const kld = Math.exp(own);
    return { kld, se: kld * Math.sqrt(variance) };
  });
}

/** Undefined where the damage drowns in noise. */
function logsOf(perChunk: readonly ProbedChunk[], { kld, se }: ProbeReading): number[] | undefined {
  if (perChunk.length === 0 || kld <= CLEAR_STANDARD_ERRORS * se || perChunk.some((chunk) => chunk.kld <= 0)) {
    return undefined;
  }
  return perChunk.map((chunk) => Math.log(chunk.kld));
}

/** What each chunk adds to ln KLD, and the covariance of that in units of the error's variance. */
function chunkEffects(logs: readonly (readonly number[])[]): { effects: number[]; covariance: Matrix } {
  const chunks = Math.max(0, ...logs.map((values) => values.length));
  if (chunks === 0) return { effects: [], covariance: new Matrix(0, 0) };
  const normal = Matrix.eye(chunks, chunks).mul(ERROR_TO_CHUNK_VARIANCE);
  const right = Matrix.zeros(chunks, 1);
  for (const values of logs) {
    const n = values.length;
    const mean = values.reduce((sum, value) => sum + value, 0) / n;
    for (let a = 0; a < n; a++) {
      right.set(a, 0, right.get(a, 0) + (values[a] as number) - mean);
      for (let b = 0; b < n; b++) normal.set(a, b, normal.get(a, b) + (a === b ? 1 : 0) - 1 / n);
    }
  }
  const covariance = inverse(normal);
  return { effects: covariance.mmul(right).to1DArray(), covariance };
}

/** How much of each chunk an average probe has seen. */
function meanExposure(logs: readonly (readonly number[])[], chunks: number): number[] {
  return Array.from({ length: chunks }, (_, chunk) =>
    logs.reduce((sum, { length }) => sum + (chunk < length ? 1 / length : 0) / logs.length, 0),
  );
}

function quadratic(matrix: Matrix, vector: readonly number[]): number {
  return vector.reduce((sum, a, i) => sum + a * vector.reduce((inner, b, j) => inner + matrix.get(i, j) * b, 0), 0);
}
