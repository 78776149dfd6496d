/**
 * The metrics of one tensor from its sampled rows: the backend computes sums, the metric files make values of them.
 * A value that can't be computed is absent and `omitted` says why; nothing is ever NaN or infinite. The spectral
 * position needs the whole model and is added by the caller from `sigmaMax`.
 */

import type { Backend, Matrix, Moments, OsqeSums } from "../kernels/backend.ts";
import { present } from "../present.ts";
import { type AlphaHill, fitAlphaHill, meanAlphaHill, tooSmallForAlpha, windowGrid } from "./alpha-hill.ts";
import type { MetricName, Metrics } from "./analysis.ts";
import { boundaryDensity } from "./boundary-density.ts";
import { fragility } from "./fragility.ts";
import { type Imbalance, imbalance } from "./imbalance.ts";
import { METRIC_TABLE } from "./metric-table.ts";
import { addOsqeSums, osqe } from "./osqe.ts";
import { type SpectralDominance, spectralDominance } from "./spectral-dominance.ts";

export interface MeasuredMetrics {
  /** All but `spectralPosition`. */
  readonly metrics: Metrics;
  readonly omitted: Readonly<Partial<Record<MetricName, string>>>;
  /** Largest singular value of the sample; the mean over experts. Absent where all weights are 0. */
  readonly sigmaMax?: number;
  /** NaN and infinite weights, which count as 0 in the metrics. */
  readonly nonFinite: number;
}

/** Everything measured of one matrix: a tensor, one expert of it, or rows of either. */
export interface MetricPiece {
  readonly alpha: AlphaHill | string;
  readonly sigmaMax?: number;
  readonly dominance?: SpectralDominance;
  readonly imbalance?: Imbalance;
  readonly osqe: OsqeSums;
  readonly nonFinite: number;
}

type Writable<Type> = { -readonly [Name in keyof Type]: Type[Name] };

export interface MetricsOptions {
  /** Put windows over the whole of the matrices, not four across. */
  readonly exact?: boolean;
}

/** Rows of one matrix. A false `spectral` leaves out what takes its spectrum. */
export interface SampledMatrix extends Matrix {
  readonly spectral?: boolean;
}

/**
 * Measure a tensor's sampled rows, one matrix per expert (one in all for 2-D tensors). Spectra and imbalance are
 * averaged over the experts, quantization errors summed. A lazy sample has one matrix in memory at a time.
 */
export async function measureMetrics(
  backend: Backend,
  sample: readonly SampledMatrix[] | AsyncIterable<SampledMatrix>,
  options: MetricsOptions = {},
): Promise<MeasuredMetrics> {
  return metricsOfPieces(await measurePieces(backend, sample, options));
}

/** Measure each matrix by itself. */
export async function measurePieces(
  backend: Backend,
  sample: readonly SampledMatrix[] | AsyncIterable<SampledMatrix>,
  { exact = false }: MetricsOptions = {},
): Promise<MetricPiece[]> {
  const pieces: MetricPiece[] = [];
  for await (const matrix of sample) pieces.push(await measurePiece(backend, matrix, exact));
  return pieces;
}

/** What the pieces of a tensor, in its order, amount to. */
export function metricsOfPieces(pieces: readonly MetricPiece[]): MeasuredMetrics {
  const nonFinite = pieces.reduce((sum, piece) => sum + piece.nonFinite, 0);
  const alive = pieces.filter((piece) => piece.osqe.power > 0);
  if (alive.length === 0) return { metrics: {}, omitted: allOmitted("all sampled weights are 0"), nonFinite };
  const sigmas = alive.flatMap((piece) => piece.sigmaMax ?? []);
  return { ...combine(alive), ...(sigmas.length > 0 && { sigmaMax: mean(sigmas) }), nonFinite };
}

async function measurePiece(backend: Backend, given: SampledMatrix, exact: boolean): Promise<MetricPiece> {
  const moments = await backend.moments(given);
  const { nonFinite } = moments;
  const matrix = nonFinite > 0 ? withoutNonFinite(given) : given;
  const [osqe, spectrum] = await Promise.all([
    backend.osqe(matrix),
    given.spectral === false
      ? { alpha: "not one of the experts looked at" }
      : spectrumOf(backend, matrix, moments, exact),
  ]);
  const spread = imbalance(moments);
  return { ...spectrum, osqe, nonFinite, ...present({ imbalance: spread }) };
}

async function spectrumOf(
  backend: Backend,
  matrix: Matrix,
  moments: Moments,
  exact: boolean,
): Promise<Pick<MetricPiece, "alpha" | "sigmaMax" | "dominance">> {
  const { rows, columns } = matrix;
  const power = moments.rowPower.reduce((sum, value) => sum + value, 0);
  const [sigmaMax, alpha] = await Promise.all([
    backend.sigmaMax(matrix),
    measureAlpha(backend, matrix, moments, exact),
  ]);
  const hasRank = sigmaMax > 0 && Math.min(rows, columns) > 1;
  return { alpha, sigmaMax, ...(hasRank && { dominance: spectralDominance(sigmaMax, power, rows, columns) }) };
}

async function measureAlpha(
  backend: Backend,
  matrix: Matrix,
  moments: Moments,
  exact: boolean,
): Promise<AlphaHill | string> {
  const grid = windowGrid(matrix.rows, matrix.columns, exact);
  if (grid === undefined) return tooSmallForAlpha(matrix.rows, matrix.columns);
  if (!moments.rowPower.some((power) => power > 0)) return "all sampled weights are 0";
  const bands = await Promise.all(
    grid.rowOffsets.map((row) => backend.windowEigenvalues(matrix, grid.size, grid.columnOffsets, row)),
  );
  return fitAlphaHill(bands.flat());
}

/** A copy with 0 for every NaN and infinite weight. */
function withoutNonFinite({ data, rows, columns }: Matrix): Matrix {
  return { data: data.map((weight) => (Number.isFinite(weight) ? weight : 0)), rows, columns };
}

function combine(pieces: readonly MetricPiece[]): Pick<MeasuredMetrics, "metrics" | "omitted"> {
  const omitted: Partial<Record<MetricName, string>> = {};
  const metrics: Writable<Metrics> = {};

  const fits: AlphaHill[] = [];
  for (const { alpha } of pieces) {
    if (typeof alpha === "string") omitted.alphaHill ??= alpha;
    else fits.push(alpha);
  }
  if (fits.length > 0) {
    metrics.alphaHill = meanAlphaHill(fits);
    delete omitted.alphaHill;
  }

  const dominances = pieces.flatMap(({ dominance }) => dominance ?? []);
  if (dominances.length > 0) {
    metrics.spectralDominance = {
      value: mean(dominances.map(({ value }) => value)),
      stableRank: mean(dominances.map(({ stableRank }) => stableRank)),
    };
  } else omitted.spectralDominance = "a single row or column has rank 1 whatever its weights are";

  const spreads = pieces.flatMap((piece) => piece.imbalance ?? []);
  if (spreads.length > 0) metrics.imbalance = meanImbalance(spreads);
  else omitted.imbalance = "all sampled weights are 0";

  const sums = addOsqeSums(pieces.map((piece) => piece.osqe));
  metrics.osqe = osqe(sums);
  const slope = fragility(metrics.osqe);
  if (slope !== undefined) metrics.fragility = slope;
  else omitted.fragility = "the weights lie on a grid of 4 bits or fewer, so OSQE(4) is 0";
  const density = boundaryDensity(sums);
  if (density !== undefined) metrics.boundaryDensity = density;
  else omitted.boundaryDensity = "all sampled weights are 0";
  return { metrics, omitted };
}

function meanImbalance(spreads: readonly Imbalance[]): Imbalance {
  const row = mean(spreads.map((spread) => spread.row));
  const column = mean(spreads.map((spread) => spread.column));
  const columnLogSpread = mean(spreads.map((spread) => spread.columnLogSpread));
  return { value: Math.max(row, column), row, column, columnLogSpread };
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

/** Of all that are computed tensor by tensor. */
function allOmitted(reason: string): Partial<Record<MetricName, string>> {
  const own = METRIC_TABLE.filter(({ name }) => name !== "spectralPosition");
  return Object.fromEntries(own.map(({ name }) => [name, reason]));
}
