/**
 * Probes → densities. A probe degrades some tensors and measures the KL divergence; in the additive regime that is
 * Σ elements·D·density over them. ln density is a Gaussian process around the prior: a level of the model, a deviation
 * of each tensor class, a smooth one along the depth, of all classes and of each, and one of each tensor. So what was
 * never probed follows its class and its neighbours, as far as those are known.
 */
import type { ProbedTensor, ProbeKernel } from "./probe-kernel.ts";
import { cholesky, forwardSolve } from "./triangular.ts";

export interface ProbeObservation {
  /** The tensors that were degraded, by index, and elements·D of each. */
  readonly parts: readonly ProbePart[];
  /** Nats, with its standard error. */
  readonly kld: number;
  readonly se: number;
}

export interface ProbePart {
  readonly tensor: number;
  readonly weight: number;
}

export interface ProbeFit {
  /** ln density per tensor, nats of KL divergence per weight and unit of distortion. */
  readonly logDensity: Float64Array;
  /** Its variance that remains, and covariances. */
  covariance(a: number, b: number): number;
}

/**
 * Relative error of additivity: groups of probes against the sum of their tensors (research/probe-physics.ts). A tensor
 * alone has nothing to add; its density is that of one type.
 */
const ADDITIVITY_ERROR = { group: 0.1, alone: 0.05 } as const;
/** A KL divergence under so many standard errors is only an upper bound, known to this deviation of its logarithm. */
const BOUND = { standardErrors: 2, sd: 1 } as const;

/** Standard deviations by which a probe surprises, and nats that its tensors may differ by then at most. */
const SURPRISE = { deviations: 2.5, most: 3 } as const;

const ITERATIONS = 30;
const CONVERGED = 1e-6;

/** Fit. Without observations the prior comes back, its level 0. `near`: a fit to most of them, to begin at. */
export function fitProbes(
  { tensors, covariance }: ProbeKernel,
  observations: readonly ProbeObservation[],
  near?: ProbeFit,
): ProbeFit {
  const level = priorLevel(tensors, observations);
  const mean: Float64Array = Float64Array.from(tensors, ({ logPrior }) => logPrior + level);
  if (observations.length === 0) {
    return { logDensity: mean, covariance: (a, b) => covariance[a]?.[b] as number };
  }
  const first = solve(covariance, observations, mean, near?.logDensity ?? mean);
  const outlying = withOutliers(covariance, observations, first.surprises);
  const { logDensity, whitened } =
    outlying === covariance ? first : solve(outlying, observations, mean, first.logDensity);
  return {
    logDensity,
    covariance(a, b) {
      let explained = 0;
      for (const row of whitened) explained += (row[a] as number) * (row[b] as number);
      return (outlying[a]?.[b] as number) - explained;
    },
  };
}

interface Solved {
  readonly logDensity: Float64Array;
  readonly whitened: readonly Float64Array[];
  /** Of each observation: how far from what all others expect of it, in nats and in standard deviations. */
  readonly surprises: readonly { readonly nats: number; readonly deviations: number }[];
}

/** Gauss-Newton to convergence. */
function solve(
  kernel: readonly Float64Array[],
  observations: readonly ProbeObservation[],
  mean: Float64Array,
  begin: Float64Array,
): Solved {
  const targets = observations.map(logKld);
  let current = begin;
  let solved = solveLinear(kernel, observations, targets, mean, current);
  for (let iteration = 0; iteration < ITERATIONS; iteration++) {
    const change = Math.max(...solved.logDensity.map((value, i) => Math.abs(value - (current[i] as number))));
    current = solved.logDensity;
    if (change < CONVERGED) break;
    solved = solveLinear(kernel, observations, targets, mean, current);
  }
  return { ...solved, logDensity: current };
}

/**
 * Single tensors stand far out of their class and neighbours (the input of a massive activation: e⁴ in SmolLM2's
 * blk.11.ffn_down). Where a probe surprises, its tensors may differ by as much as it does, each by itself: then neither
 * their neighbours follow them, nor do they each other, and a half with such a tensor is worth splitting.
 */
function withOutliers(
  kernel: readonly Float64Array[],
  observations: readonly ProbeObservation[],
  surprises: Solved["surprises"],
): readonly Float64Array[] {
  const extra = new Map<number, number>();
  for (const [p, { parts }] of observations.entries()) {
    const { nats = 0, deviations = 0 } = surprises[p] ?? {};
    if (deviations < SURPRISE.deviations) continue;
    const variance = Math.min(nats, SURPRISE.most) ** 2;
    for (const { tensor } of parts) extra.set(tensor, Math.max(extra.get(tensor) ?? 0, variance));
  }
  if (extra.size === 0) return kernel;
  return kernel.map((row, t) => {
    const more = extra.get(t);
    if (more === undefined) return row;
    const wider = row.slice();
    wider[t] = (wider[t] as number) + more;
    return wider;
  });
}

/** Nats that a probe which showed nothing at all is taken to be below. Chosen, far under any probe: keeps the log finite. */
const LEAST_KLD = 1e-9;

/** What no number of chunks tells of so many tensors. */
export function additivityError(tensors: number): number {
  return tensors > 1 ? ADDITIVITY_ERROR.group : ADDITIVITY_ERROR.alone;
}

/** What the log of a probe says and how surely. */
export function logKld({ kld, se, parts }: ProbeObservation): { value: number; sd: number } {
  const bound = BOUND.standardErrors * se;
  if (!(kld > bound)) return { value: Math.log(Math.max(bound, LEAST_KLD)), sd: BOUND.sd };
  return { value: Math.log(kld), sd: Math.hypot(se / kld, additivityError(parts.length)) };
}

/** Each part's share of the probe's KL divergence: how the log of the sum follows the log of each density. */
export function sharesOf(parts: readonly ProbePart[], logDensity: Float64Array): { shares: number[]; logSum: number } {
  const logs = parts.map(({ tensor, weight }) => Math.log(weight) + (logDensity[tensor] as number));
  const largest = Math.max(...logs);
  const powers = logs.map((value) => Math.exp(value - largest));
  const sum = powers.reduce((total, power) => total + power, 0);
  return { shares: powers.map((power) => power / sum), logSum: largest + Math.log(sum) };
}

/** The level at which the prior meets the probes on average. */
function priorLevel(tensors: readonly ProbedTensor[], observations: readonly ProbeObservation[]): number {
  const prior = Float64Array.from(tensors, ({ logPrior }) => logPrior);
  const offsets = observations.map((probe) => logKld(probe).value - sharesOf(probe.parts, prior).logSum);
  return offsets.reduce((sum, offset) => sum + offset, 0) / Math.max(1, offsets.length);
}

/** One Gauss-Newton step: the posterior of the model made linear at `at`. */
function solveLinear(
  kernel: readonly Float64Array[],
  observations: readonly ProbeObservation[],
  targets: readonly { value: number; sd: number }[],
  mean: Float64Array,
  at: Float64Array,
): Solved {
  const linear = observations.map(({ parts }) => ({ parts, ...sharesOf(parts, at) }));
  // JK, one row per probe: how ln density of every tensor goes with the probe
  const cross = linear.map(({ parts, shares }) => {
    const row = new Float64Array(kernel.length);
    for (const [i, { tensor }] of parts.entries()) {
      const share = shares[i] as number;
      const own = kernel[tensor] as Float64Array;
      for (let t = 0; t < row.length; t++) row[t] = (row[t] as number) + share * (own[t] as number);
    }
    return row;
  });
  const gram = linear.map(({ parts, shares }, p) =>
    cross.map((row, q) => {
      const shared = parts.reduce((sum, { tensor }, i) => sum + (shares[i] as number) * (row[tensor] as number), 0);
      return p === q ? shared + (targets[p]?.sd ?? 1) ** 2 : shared;
    }),
  );
  const lower = cholesky(gram);
  const residual = linear.map(({ parts, shares, logSum }, p) => {
    const ahead = parts.reduce(
      (sum, { tensor }, i) => sum + (shares[i] as number) * ((at[tensor] as number) - (mean[tensor] as number)),
      0,
    );
    return (targets[p]?.value ?? 0) - logSum + ahead;
  });
  const whitened = forwardSolve(lower, cross);
  const [scaled = new Float64Array()] = transpose(
    forwardSolve(
      lower,
      residual.map((r) => Float64Array.of(r)),
    ),
  );
  const logDensity = mean.map(
    (value, t) => value + whitened.reduce((sum, row, p) => sum + (row[t] as number) * (scaled[p] as number), 0),
  );
  return { logDensity, whitened, surprises: surprisesOf(lower, scaled) };
}

/** Leave one out: K⁻¹ residual over the diagonal of K⁻¹, for K = L·Lᵀ and L⁻¹ · residual. */
function surprisesOf(lower: readonly (readonly number[])[], scaled: Float64Array): Solved["surprises"] {
  const identity = lower.map((_, p) => Float64Array.from(lower, (__, q) => (p === q ? 1 : 0)));
  const inverse = forwardSolve(lower, identity);
  return lower.map((_, p) => {
    const precision = inverse.reduce((sum, row) => sum + (row[p] as number) ** 2, 0);
    const weighted = inverse.reduce((sum, row, q) => sum + (row[p] as number) * (scaled[q] as number), 0);
    return { nats: Math.abs(weighted) / precision, deviations: Math.abs(weighted) / Math.sqrt(precision) };
  });
}

function transpose(rows: readonly Float64Array[]): Float64Array[] {
  const width = rows[0]?.length ?? 0;
  return Array.from({ length: width }, (_, t) => Float64Array.from(rows, (row) => row[t] as number));
}
