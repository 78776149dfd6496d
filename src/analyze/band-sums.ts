/**
 * Round trips of bands of one tensor: power and error of each band, by type, kept until the tensor is done. Bands travel to
 * the engine in jobs of bounded size.
 */
import type { Library, RoundTripResult } from "../engine/engine.ts";
import { FormatError } from "../errors.ts";
import type { TensorType } from "../ggml/tensor-types.ts";
import type { WorkQueue } from "../work-queue.ts";
import type { StratumSample } from "./ratio-estimate.ts";
import type { RowReader } from "./row-reader.ts";
import { type Band, type BandOrder, bandAt } from "./sampling.ts";

export interface BandSource {
  readonly library: Pick<Library, "roundTrip">;
  readonly queue: WorkQueue;
  /** The model's path, for errors. */
  readonly path: string;
  readonly reader: RowReader;
  readonly order: BandOrder;
  /** ne0 values for each matrix. */
  readonly importance?: Float32Array;
}

/** Power of bands, and their error in each type. */
export interface BandValues {
  readonly power: ArrayLike<number>;
  readonly error: Readonly<Partial<Record<TensorType, ArrayLike<number>>>>;
}

/** What is known of the bands of a tensor. */
export interface BandSums {
  /** Values of these bands. */
  add(bands: readonly number[], values: BandValues): void;
  /** Error of `type` over power, or over the error of `over`, in the first `bands` bands of every stratum. */
  strata(type: TensorType, bands: number, over?: TensorType): StratumSample[];
  /** What is known of these bands, all of which were measured. */
  of(
    bands: readonly number[],
    types: readonly TensorType[],
  ): { readonly power: number[]; readonly error: Partial<Record<TensorType, number[]>> };
  /** Whether no band measured so far has any power. */
  isPowerless(): boolean;
}

/** Source bytes of one round trip: about a second of work in the slowest types, which bounds the wait after Ctrl-C. */
export const JOB_BYTES = 1 << 20;

interface Sums {
  power: number;
  readonly error: Partial<Record<TensorType, number>>;
}

type NumberedBand = Band & { readonly number: number };

export function createBandSums(order: BandOrder): BandSums {
  const sums = new Map<number, Sums>();
  return {
    add(bands, { power, error }) {
      bands.forEach((number, index) => {
        const known = sums.get(number) ?? { power: 0, error: {} };
        known.power = power[index] as number;
        for (const [type, errors] of Object.entries(error)) known.error[type as TensorType] = errors[index] as number;
        sums.set(number, known);
      });
    },
    strata(type, count, over) {
      return order.strata.map((bands) => {
        // in file order, so that the rounding of a whole tensor's sums does not depend on the seed
        const sampled = bands
          .slice(0, count)
          .sort((a, b) => a - b)
          .map((band) => sums.get(band) as Sums);
        return {
          population: bands.length,
          power: sampled.map(({ power, error }) => (over === undefined ? power : (error[over] as number))),
          error: sampled.map(({ error }) => error[type] as number),
        };
      });
    },
    of(bands, types) {
      const known = bands.map((band) => sums.get(band) as Sums);
      return {
        power: known.map(({ power }) => power),
        error: Object.fromEntries(types.map((type) => [type, known.map(({ error }) => error[type] as number)])),
      };
    },
    isPowerless: () => [...sums.values()].every(({ power }) => power === 0),
  };
}

/** Measure types on bands, given in file order. Throws FormatError where weights are not finite. */
export async function measureBands(
  source: BandSource,
  types: readonly TensorType[],
  bands: readonly number[],
  sums: BandSums,
): Promise<void> {
  const { queue, reader, path } = source;
  const jobs = cutIntoJobs(source, bands);
  const results = await Promise.all(jobs.map((job) => queue.run(() => roundTrip(source, types, job))));
  results.forEach((result, index) => {
    sums.add(
      (jobs[index] ?? []).map(({ number }) => number),
      result,
    );
  });
  const nonFinite = results.reduce((total, result) => total + result.nonFinite, 0);
  const rows = jobs.flat().reduce((total, band) => total + band.rows, 0);
  checkFinite(path, reader.tensor.name, nonFinite, rows * (reader.tensor.shape[0] ?? 1));
}

/** Throw FormatError where some of the weights read are NaN or infinite. */
export function checkFinite(path: string, tensorName: string, nonFinite: number, weights: number): void {
  if (nonFinite === 0) return;
  throw new FormatError(
    path,
    `tensor ${tensorName}: ${nonFinite} of ${weights} weights read are NaN or infinite, expected finite numbers; download the model again or convert it again`,
  );
}

/** Join bands to round trips: one matrix each where importance differs by matrix, and a short band only at the end. */
function cutIntoJobs({ reader, order, importance }: BandSource, numbers: readonly number[]): NumberedBand[][] {
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
  { library, reader, order, importance }: BandSource,
  types: readonly TensorType[],
  bands: readonly NumberedBand[],
): Promise<RoundTripResult> {
  const rowElements = reader.tensor.shape[0] ?? 1;
  const start = ((bands[0]?.matrix ?? 0) * rowElements) % (importance?.length ?? 1);
  return library.roundTrip({
    sourceType: reader.tensor.type,
    rowElements,
    data: await reader.read(bands),
    bandRows: order.bandRows,
    types,
    ...(importance && { importance: importance.slice(start, start + rowElements) }),
  });
}
