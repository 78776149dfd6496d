/**
 * D(tensor, type): relative squared error of the real ggml round trip, from as many bands of rows as it takes until
 * its standard error is small enough for every candidate type. All types are measured on the same bands, so that
 * differences between types are surer than each D by itself.
 */
import type { Engine, RoundTripResult } from "../engine/engine.ts";
import { FormatError } from "../errors.ts";
import type { TensorType } from "../ggml/tensor-types.ts";
import type { Estimate } from "./analysis.ts";
import { estimateRatio, type StratumSample } from "./ratio-estimate.ts";
import type { RowReader } from "./row-reader.ts";
import { type Band, type BandOrder, bandAt, longestStratum, METRIC_BANDS, takeBands } from "./sampling.ts";
import type { WorkQueue } from "./work-queue.ts";

export interface DistortionJob {
  readonly engine: Pick<Engine, "roundTrip">;
  readonly queue: WorkQueue;
  /** The model's path, for errors. */
  readonly path: string;
  readonly reader: RowReader;
  readonly order: BandOrder;
  readonly types: readonly TensorType[];
  /** ne0 values for each matrix. */
  readonly importance?: Float32Array;
  /** Bands per stratum to begin with. */
  readonly firstBands: number;
  readonly targetRelativeSe: number;
  /** Read every row. */
  readonly exact: boolean;
}

export interface DistortionResult {
  readonly distortion: Partial<Record<TensorType, Estimate>>;
  /** Every weight is zero, or has no importance: D is 0 whatever the type. */
  readonly powerless: boolean;
}

/** Source bytes of one round trip: about a second of work in the slowest types, which bounds the wait after Ctrl-C. */
const JOB_BYTES = 1 << 20;

/** A distortion below this (a thirtieth of Q8_0's) decides nothing: its precision is not worth reading for. */
const NEGLIGIBLE_DISTORTION = 1e-6;

/**
 * Measure the distortion of one tensor in each type. A type that ggml can't represent the weights in (an F16 overflow)
 * is left out. Throws FormatError where weights are not finite.
 */
export async function measureDistortion(job: DistortionJob): Promise<DistortionResult> {
  const { order, reader } = job;
  const measured = job.types.filter((type) => type !== reader.tensor.type);
  const distortion: Partial<Record<TensorType, Estimate>> = {};
  const sums = new Map<number, BandSums>();
  const longest = longestStratum(order);
  // where the metrics have read it all anyway, there is nothing to save
  const whole = job.exact || longest <= METRIC_BANDS;
  let from = 0;
  let to = whole ? longest : job.firstBands;
  let powerless = false;
  while (measured.length > 0) {
    await measureBands(job, measured, takeBands(order, from, to), sums);
    powerless = [...sums.values()].every(({ power }) => power === 0);
    let precise = !powerless;
    for (const type of measured) {
      const estimate = estimateRatio(strataOf(order, to, sums, type));
      distortion[type] = estimate;
      precise &&= isPrecise(estimate, job.targetRelativeSe);
    }
    if (precise || to >= longest) break;
    from = to;
    to = Math.min(2 * to, longest);
  }
  return { distortion: inOrder(job.types, reader.tensor.type, distortion), powerless };
}

function isPrecise({ value, se }: Estimate, targetRelativeSe: number): boolean {
  return !Number.isFinite(value) || value < NEGLIGIBLE_DISTORTION || se <= targetRelativeSe * value;
}

interface BandSums {
  readonly power: number;
  readonly error: Partial<Record<TensorType, number>>;
}

function strataOf(
  order: BandOrder,
  to: number,
  sums: ReadonlyMap<number, BandSums>,
  type: TensorType,
): StratumSample[] {
  return order.strata.map((bands) => {
    // in file order, so that the rounding of a whole tensor's sums does not depend on the seed
    const sampled = bands
      .slice(0, to)
      .sort((a, b) => a - b)
      .map((band) => sums.get(band) as BandSums);
    return {
      population: bands.length,
      power: sampled.map(({ power }) => power),
      error: sampled.map(({ error }) => error[type] as number),
    };
  });
}

/** The candidates' own order; storing a tensor in its own type changes nothing; what overflowed is absent. */
function inOrder(
  types: readonly TensorType[],
  sourceType: TensorType,
  distortion: Partial<Record<TensorType, Estimate>>,
): Partial<Record<TensorType, Estimate>> {
  const result: Partial<Record<TensorType, Estimate>> = {};
  for (const type of types) {
    const estimate = type === sourceType ? { value: 0, se: 0 } : distortion[type];
    if (estimate && Number.isFinite(estimate.value) && Number.isFinite(estimate.se)) result[type] = estimate;
  }
  return result;
}

async function measureBands(
  job: DistortionJob,
  types: readonly TensorType[],
  numbers: readonly number[],
  sums: Map<number, BandSums>,
): Promise<void> {
  const pieces = cutIntoJobs(job, numbers);
  const results = await Promise.all(pieces.map((bands) => job.queue.run(() => roundTrip(job, types, bands))));
  results.forEach(({ power, error }, piece) => {
    pieces[piece]?.forEach(({ number }, index) => {
      const bandError: Partial<Record<TensorType, number>> = {};
      for (const type of types) bandError[type] = error[type]?.[index] as number;
      sums.set(number, { power: power[index] as number, error: bandError });
    });
  });
  const nonFinite = results.reduce((total, result) => total + result.nonFinite, 0);
  const weights = pieces.flat().reduce((total, { rows }) => total + rows, 0) * (job.reader.tensor.shape[0] ?? 1);
  checkFinite(job.path, job.reader.tensor.name, nonFinite, weights);
}

/** Throw FormatError where some of the weights read are NaN or infinite. */
export function checkFinite(path: string, tensorName: string, nonFinite: number, weights: number): void {
  if (nonFinite === 0) return;
  throw new FormatError(
    path,
    `tensor ${tensorName}: ${nonFinite} of ${weights} weights read are NaN or infinite, expected finite numbers; download the model again or convert it again`,
  );
}

type NumberedBand = Band & { readonly number: number };

/** Join bands to round trips: one matrix each where importance differs by matrix, and a short band only at the end. */
function cutIntoJobs({ reader, order, importance }: DistortionJob, numbers: readonly number[]): NumberedBand[][] {
  const jobs: NumberedBand[][] = [];
  let rows = 0;
  for (const number of numbers) {
    const band = { number, ...bandAt(order, number) };
    const last = jobs.at(-1)?.at(-1);
    const joins =
      last !== undefined &&
      last.rows === order.bandRows &&
      (importance === undefined || last.matrix === band.matrix) &&
      (rows + band.rows) * reader.rowBytes <= JOB_BYTES;
    if (joins) jobs.at(-1)?.push(band);
    else jobs.push([band]);
    rows = joins ? rows + band.rows : band.rows;
  }
  return jobs;
}

async function roundTrip(
  { engine, reader, order, importance }: DistortionJob,
  types: readonly TensorType[],
  bands: readonly NumberedBand[],
): Promise<RoundTripResult> {
  const rowElements = reader.tensor.shape[0] ?? 1;
  const start = ((bands[0]?.matrix ?? 0) * rowElements) % (importance?.length ?? 1);
  return engine.roundTrip({
    sourceType: reader.tensor.type,
    rowElements,
    data: await reader.read(bands),
    bandRows: order.bandRows,
    types,
    ...(importance && { importance: importance.slice(start, start + rowElements) }),
  });
}
