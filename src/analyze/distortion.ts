/**
 * D(tensor, type): relative squared error of the real ggml round trip, from as many bands of rows as it takes until its
 * standard error is small enough. All types are measured on the first bands of the same order, so that differences
 * between types are surer than each D by itself.
 *
 * Two things save work. The IQ types, whose quantizers search a codebook (0.2 to 0.6 µs a weight, others 0.01 to 0.13),
 * are measured on half of the bands as a ratio to Q4_K: D = r·D(Q4_K), relative variances added (delta method). And a
 * type that is clearly dominated, another one of no more bytes having less error, keeps the estimate of its first bands.
 */
import { bitsPerWeight, type TensorType } from "../ggml/tensor-types.ts";
import type { DistortionEstimate, Estimate } from "./analysis.ts";
import { type BandSource, type BandSums, createBandSums, measureBands } from "./band-sums.ts";
import { estimateProduct, estimateRatio } from "./ratio-estimate.ts";
import { bandsNeeded } from "./sample-size.ts";
import { type BandOrder, longestStratum, takeBands } from "./sampling.ts";

/** Of a tensor whose every band is measured. */
export interface WholeDistortion {
  readonly sourceType: TensorType;
  readonly types: readonly TensorType[];
  readonly order: BandOrder;
}

export interface DistortionJob extends BandSource {
  readonly types: readonly TensorType[];
  /** Bands per stratum to begin with. */
  readonly firstBands: number;
  readonly targetRelativeSe: number;
  /** Quantize every row. */
  readonly exact: boolean;
}

export interface DistortionResult {
  readonly distortion: Partial<Record<TensorType, DistortionEstimate>>;
  /** Every weight is zero, or has no importance: D is 0 whatever the type. */
  readonly powerless: boolean;
}

/** What slow types are measured against. */
const REFERENCE: TensorType = "Q4_K";

/** Part of the first bands that slow types begin with. */
const SLOW_SHARE = 0.5;

/** Standard errors of the difference between two types beyond which the worse one is dropped. */
const DOMINANCE_SE = 4;

/** A distortion below this (a thirtieth of Q8_0's) decides nothing: its precision is not worth reading for. */
const NEGLIGIBLE_DISTORTION = 1e-6;

/**
 * Measure the distortion of one tensor in each type. A type that ggml can't represent the weights in (an F16 overflow)
 * is left out. Throws FormatError where weights are not finite.
 */
export async function measureDistortion(job: DistortionJob): Promise<DistortionResult> {
  const { type: sourceType } = job.reader.tensor;
  const types = typesMeasured({ sourceType, types: job.types });
  const sums = createBandSums(job.order);
  if (job.exact) {
    await measureBands(job, types, takeBands(job.order, 0, longestStratum(job.order)), sums);
    return wholeDistortion({ sourceType, types: job.types, order: job.order }, sums);
  }
  const sample: Sample = { sums, taken: new Map(), estimates: new Map() };
  let wanted = firstWanted(job, types);
  while (wanted.size > 0) {
    await measureWanted(job, sample, wanted);
    for (const type of types) sample.estimates.set(type, estimate(sample, type));
    markDominated(types, sample);
    wanted = stillWanted(job, types, sample);
  }
  return {
    distortion: inOrder(job.types, sourceType, sample.estimates),
    powerless: types.length > 0 && sample.sums.isPowerless(),
  };
}

/** Types that take round trips: storing a tensor in its own type changes nothing. */
export function typesMeasured({ sourceType, types }: Omit<WholeDistortion, "order">): TensorType[] {
  return types.filter((type) => type !== sourceType);
}

/** The distortion once every band is measured in every type. */
export function wholeDistortion({ sourceType, types, order }: WholeDistortion, sums: BandSums): DistortionResult {
  const measured = typesMeasured({ sourceType, types });
  const all = longestStratum(order);
  const estimates = new Map(measured.map((type) => [type, estimateRatio(sums.strata(type, all))]));
  return {
    distortion: inOrder(types, sourceType, estimates),
    powerless: measured.length > 0 && sums.isPowerless(),
  };
}

interface Sample {
  readonly sums: BandSums;
  /** Bands per stratum that each type was measured on. */
  readonly taken: Map<TensorType, number>;
  readonly estimates: Map<TensorType, DistortionEstimate>;
}

/** Bands per stratum that types are to be measured on next. */
type Wanted = ReadonlyMap<TensorType, number>;

function firstWanted({ order, firstBands }: DistortionJob, types: readonly TensorType[]): Wanted {
  const longest = longestStratum(order);
  if (longest <= firstBands) return new Map(types.map((type) => [type, longest]));
  const slow = Math.max(2, Math.ceil(SLOW_SHARE * firstBands));
  return new Map(types.map((type) => [type, isSlow(type) && types.includes(REFERENCE) ? slow : firstBands]));
}

function isSlow(type: TensorType): boolean {
  return type.startsWith("IQ");
}

/** Each band is read once for all types that want it. */
async function measureWanted(job: DistortionJob, { sums, taken }: Sample, wanted: Wanted): Promise<void> {
  const from = (type: TensorType) => taken.get(type) ?? 0;
  const cuts = [...new Set([...wanted].flatMap(([type, to]) => [from(type), to]))].sort((a, b) => a - b);
  const segments = cuts.slice(1).map((end, index) => {
    const start = cuts[index] as number;
    return { start, end, types: [...wanted].flatMap(([type, to]) => (from(type) <= start && end <= to ? type : [])) };
  });
  await Promise.all(
    segments.flatMap(({ types, start, end }) =>
      types.length > 0 ? measureBands(job, types, takeBands(job.order, start, end), sums) : [],
    ),
  );
  for (const [type, to] of wanted) taken.set(type, to);
}

function estimate({ sums, taken, estimates }: Sample, type: TensorType): DistortionEstimate {
  const bands = taken.get(type) as number;
  const before = estimates.get(type)?.dominatedBy;
  const dominated = before === undefined ? {} : { dominatedBy: before };
  const referenceBands = taken.get(REFERENCE) ?? 0;
  const product =
    isSlow(type) && bands < referenceBands
      ? estimateProduct(sums.strata(type, bands, REFERENCE), sums.strata(REFERENCE, referenceBands))
      : undefined;
  if (product !== undefined) return { ...product, ratioTo: REFERENCE, ...dominated };
  return { ...estimateRatio(sums.strata(type, bands)), ...dominated };
}

function relativeSe({ value, se }: Estimate): number {
  return value === 0 ? 0 : se / value;
}

/** Note types that another one beats with no more bytes. Errors of types rise and fall together, so this is cautious. */
function markDominated(types: readonly TensorType[], { estimates }: Sample): void {
  for (const type of types) {
    const own = estimates.get(type) as DistortionEstimate;
    if (own.dominatedBy !== undefined || own.se === 0) continue;
    const better = types.find((other) => {
      const its = estimates.get(other) as DistortionEstimate;
      const difference = own.value - its.value;
      return (
        other !== type &&
        its.dominatedBy === undefined &&
        bitsPerWeight(other) <= bitsPerWeight(type) &&
        difference > DOMINANCE_SE * Math.hypot(own.se, its.se)
      );
    });
    if (better !== undefined) estimates.set(type, { ...own, dominatedBy: better });
  }
}

function stillWanted(job: DistortionJob, types: readonly TensorType[], sample: Sample): Wanted {
  const longest = longestStratum(job.order);
  const isPowerless = sample.sums.isPowerless();
  const wanted = new Map<TensorType, number>();
  for (const type of types) {
    const bands = sample.taken.get(type) as number;
    const own = sample.estimates.get(type) as DistortionEstimate;
    if (bands >= longest || (!isPowerless && isPrecise(own, job.targetRelativeSe))) continue;
    wanted.set(type, nextBands(sample, own, { bands, longest }, job.targetRelativeSe));
  }
  return wanted;
}

/** Bands per stratum that should make the estimate precise, by its standard error so far. */
function nextBands(
  { taken, estimates }: Sample,
  own: DistortionEstimate,
  size: { readonly bands: number; readonly longest: number },
  targetRelativeSe: number,
): number {
  if (own.ratioTo === undefined) return bandsNeeded(size, relativeSe(own) ** 2, targetRelativeSe ** 2);
  const fixed = relativeSe(estimates.get(own.ratioTo) as DistortionEstimate) ** 2;
  const needed = bandsNeeded(size, relativeSe(own) ** 2 - fixed, targetRelativeSe ** 2 - fixed);
  // on all of the reference's bands, no ratio is needed
  return Math.min(needed, taken.get(own.ratioTo) as number);
}

function isPrecise({ value, se, dominatedBy }: DistortionEstimate, targetRelativeSe: number): boolean {
  if (dominatedBy !== undefined || !Number.isFinite(value)) return true;
  return value < NEGLIGIBLE_DISTORTION || se <= targetRelativeSe * value;
}

/** The candidates' own order; storing a tensor in its own type changes nothing; what overflowed is absent. */
function inOrder(
  types: readonly TensorType[],
  sourceType: TensorType,
  estimates: ReadonlyMap<TensorType, DistortionEstimate>,
): Partial<Record<TensorType, DistortionEstimate>> {
  const result: Partial<Record<TensorType, DistortionEstimate>> = {};
  for (const type of types) {
    const estimate = type === sourceType ? { value: 0, se: 0 } : estimates.get(type);
    if (estimate && Number.isFinite(estimate.value) && Number.isFinite(estimate.se)) result[type] = estimate;
  }
  return result;
}
