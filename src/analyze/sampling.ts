/**
 * Which rows of a tensor are read. A tensor's rows are cut into bands of consecutive rows of one matrix (expert), two
 * neighbouring bands make a pair; the pairs, in file order, are cut into strata of equal length, and each stratum is
 * permuted by a seed derived from the tensor's name: one band of every pair first, then the others. A sample is the first
 * k bands of every stratum: spread over rows and experts, the same on every machine, and growing with k without losing
 * what was read. The metrics take pairs whole, so that their rows are read in few ranges and hold the distortion's.
 */
import { createRandom, seedFromName, shuffled } from "../random.ts";

export interface SamplingDesign {
  /** Rows of a band. */
  readonly bandRows: number;
  /** Strata of a tensor, at most. */
  readonly strata: number;
  /** Bands of a stratum that the distortion starts with, at least 2 (a variance needs them). */
  readonly firstBands: number;
}

/**
 * 16 bands of 4 rows to begin with. Chosen on two trained models (58 and 85 tensors of 128 to 4,096 rows, 11 types, 30
 * seeds): 4 strata of 4 bands were as precise as 8 of 2 and better calibrated.
 */
export const SAMPLING_DESIGN: SamplingDesign = { bandRows: 4, strata: 4, firstBands: 4 };

/** Pairs of a stratum in the sample that the metrics are computed on: 32 pairs, 256 rows with the default design. */
export const METRIC_PAIRS = 8;

/** Experts of a 3-D tensor that metrics are computed on, at even distances. */
export const METRIC_EXPERTS = 8;

/** Experts of a 3-D tensor whose spectra are computed where all of it is read, at even distances. */
export const EXACT_EXPERTS = 32;

/** The rows of a tensor: `matrices` (experts, 1 for a plain tensor) of `matrixRows` each. */
export interface RowLayout {
  readonly matrices: number;
  readonly matrixRows: number;
}

export interface Band {
  /** Over all matrices of the tensor. */
  readonly firstRow: number;
  /** `bandRows`, or fewer at the end of a matrix. */
  readonly rows: number;
  readonly matrix: number;
}

/** The bands of a tensor in the order in which each stratum gives them. */
export interface BandOrder {
  readonly layout: RowLayout;
  readonly bandRows: number;
  /** Band numbers per stratum. */
  readonly strata: readonly (readonly number[])[];
}

/** The rows of a shape (ne[0] first). */
export function rowLayout(shape: readonly number[]): RowLayout {
  const [, matrixRows = 1, ...outer] = shape;
  return { matrixRows, matrices: outer.reduce((product, n) => product * n, 1) };
}

/** Order the bands of the tensor `name` for sampling. */
export function orderBands(layout: RowLayout, name: string, seed: number, design = SAMPLING_DESIGN): BandOrder {
  const perMatrix = Math.ceil(layout.matrixRows / design.bandRows);
  const pairsPerMatrix = Math.ceil(perMatrix / 2);
  const pairs = layout.matrices * pairsPerMatrix;
  const count = Math.min(design.strata, pairs);
  const random = createRandom(seedFromName(name, seed));
  const strata = Array.from({ length: count }, (_, stratum) => {
    const first = Math.floor((stratum * pairs) / count);
    const end = Math.floor(((stratum + 1) * pairs) / count);
    const firsts: number[] = [];
    const seconds: number[] = [];
    for (const pair of shuffled(sequence(first, end), random)) {
      const [one, other] = bandsOfPair(pair, perMatrix, pairsPerMatrix);
      const isSwapped = other !== undefined && random() < 0.5;
      firsts.push(isSwapped ? other : one);
      if (other !== undefined) seconds.push(isSwapped ? one : other);
    }
    return [...firsts, ...shuffled(seconds, random)];
  });
  return { layout, bandRows: design.bandRows, strata };
}

/** The last band of a matrix with an odd number of them is alone. */
function bandsOfPair(pair: number, perMatrix: number, pairsPerMatrix: number): [number, number?] {
  const inMatrix = 2 * (pair % pairsPerMatrix);
  const band = Math.floor(pair / pairsPerMatrix) * perMatrix + inMatrix;
  return inMatrix + 1 < perMatrix ? [band, band + 1] : [band];
}

function sequence(first: number, end: number): number[] {
  return Array.from({ length: end - first }, (_, index) => first + index);
}

/** Where a band lies. */
export function bandAt({ layout, bandRows }: Pick<BandOrder, "layout" | "bandRows">, band: number): Band {
  const perMatrix = Math.ceil(layout.matrixRows / bandRows);
  const matrix = Math.floor(band / perMatrix);
  const rowInMatrix = (band % perMatrix) * bandRows;
  return {
    matrix,
    firstRow: matrix * layout.matrixRows + rowInMatrix,
    rows: Math.min(bandRows, layout.matrixRows - rowInMatrix),
  };
}

/** The bands `from` … `to`−1 of every stratum, in file order. */
export function takeBands(order: BandOrder, from: number, to: number): number[] {
  return order.strata.flatMap((bands) => bands.slice(from, to)).sort((a, b) => a - b);
}

/** The bands `from` … `to`−1 of every stratum with the other bands of their pairs, in file order. */
export function takePairs(order: BandOrder, from: number, to: number): number[] {
  const perMatrix = Math.ceil(order.layout.matrixRows / order.bandRows);
  const taken = new Set<number>();
  for (const band of takeBands(order, from, to)) {
    const inMatrix = band % perMatrix;
    taken.add(band);
    if (inMatrix % 2 === 1) taken.add(band - 1);
    else if (inMatrix + 1 < perMatrix) taken.add(band + 1);
  }
  return [...taken].sort((a, b) => a - b);
}

/** Bands of the longest stratum: a sample of this many per stratum is the whole tensor. */
export function longestStratum(order: BandOrder): number {
  return Math.max(...order.strata.map((bands) => bands.length));
}

/** Choose at most so many experts, at even distances. */
export function metricMatrices({ matrices }: RowLayout, atMost: number): number[] {
  const count = Math.min(matrices, atMost);
  return Array.from({ length: count }, (_, index) => Math.floor(((index + 0.5) * matrices) / count));
}
