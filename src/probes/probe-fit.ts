/**
 * Probes → densities. A probe degrades some tensors and measures the KL divergence; in the additive regime that is
 * Σ elements·D·density over them. ln density is a Gaussian process around the prior: a level of the model, a deviation
 * of each tensor class, a smooth one along the depth, of all classes and of each, and one of each tensor. So what was
 * never probed follows its class and its neighbours, as far as those are known.
 */
export interface ProbedTensor {
  readonly name: string;
  readonly class: string;
  /** N of blk.N. */
  readonly layer?: number;
  /** Layer ÷ last layer, 0 … 1; absent outside blocks. */
  readonly depth?: number;
  readonly elements: number;
  /** ln density before any probe; its level is fitted. */
  readonly logPrior: number;
}

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
 * Standard deviations of ln density. In the median of 14 models of Thireus' GGUF Tool Suite (research/density-spread.ts)
 * classes differ by 1.4 and the tensors of a class by 0.5, neighbours by 0.2; small models differ more along the depth.
 * `level` is what is left of the prior's own level, which is fitted to the probes first.
 */
export const SPREAD = { level: 2, class: 1.2, depth: 0.6, sharedDepth: 0.3, tensor: 0.3 } as const;
/** Share of the depth over which neighbours stop being alike. */
const DEPTH_LENGTH = 0.2;
/**
 * Relative error of additivity: groups of probes against the sum of their tensors (research/probe-physics.ts). A tensor
 * alone has nothing to add; its density is that of one type.
 */
const ADDITIVITY_ERROR = { group: 0.1, alone: 0.05 } as const;
/** A KL divergence under so many standard errors is only an upper bound, known to this deviation of its logarithm. */
const BOUND = { standardErrors: 2, sd: 1 } as const;

const ITERATIONS = 30;
const CONVERGED = 1e-6;

/** Fit. Without observations the prior comes back, its level 0. */
export function fitProbes(tensors: readonly ProbedTensor[], observations: readonly ProbeObservation[]): ProbeFit {
  const level = priorLevel(tensors, observations);
  const mean: Float64Array = Float64Array.from(tensors, ({ logPrior }) => logPrior + level);
  if (observations.length === 0) {
    return { logDensity: mean, covariance: (a, b) => kernel(tensors, a, b) };
  }
  const targets = observations.map(logKld);
  let current = mean;
  let solved = solveLinear(tensors, observations, targets, mean, current);
  for (let iteration = 0; iteration < ITERATIONS; iteration++) {
    const change = Math.max(...solved.logDensity.map((value, i) => Math.abs(value - (current[i] as number))));
    current = solved.logDensity;
    if (change < CONVERGED) break;
    solved = solveLinear(tensors, observations, targets, mean, current);
  }
  const { whitened } = solved;
  return {
    logDensity: current,
    covariance(a, b) {
      let explained = 0;
      for (const row of whitened) explained += (row[a] as number) * (row[b] as number);
      return kernel(tensors, a, b) - explained;
    },
  };
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
  tensors: readonly ProbedTensor[],
  observations: readonly ProbeObservation[],
  targets: readonly { value: number; sd: number }[],
  mean: Float64Array,
  at: Float64Array,
): { logDensity: Float64Array; whitened: Float64Array[] } {
  const linear = observations.map(({ parts }) => ({ parts, ...sharesOf(parts, at) }));
  // JK, one row per probe: how ln density of every tensor goes with the probe
  const cross = linear.map(({ parts, shares }) =>
    Float64Array.from(tensors, (_, t) =>
      parts.reduce((sum, { tensor }, i) => sum + (shares[i] as number) * kernel(tensors, tensor, t), 0),
    ),
  );
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
  return { logDensity, whitened };
}

/** L with L·Lᵀ = the symmetric, positive definite matrix whose lower half is given. */
function cholesky(matrix: readonly (readonly number[])[]): number[][] {
  const lower: number[][] = [];
  for (const [p, row] of matrix.entries()) {
    const own: number[] = [];
    for (let q = 0; q <= p; q++) {
      const other = q === p ? own : (lower[q] as number[]);
      let left = row[q] as number;
      for (let i = 0; i < q; i++) left -= (own[i] as number) * (other[i] as number);
      own.push(q === p ? Math.sqrt(left) : left / (other[q] as number));
    }
    lower.push(own);
  }
  return lower;
}

/** L⁻¹ · rows, for lower triangular L. */
function forwardSolve(lower: readonly (readonly number[])[], rows: readonly Float64Array[]): Float64Array[] {
  const solved: Float64Array[] = [];
  for (const [p, row] of rows.entries()) {
    const result = row.slice();
    for (const [q, earlier] of solved.entries()) {
      const factor = lower[p]?.[q] as number;
      for (let t = 0; t < result.length; t++) result[t] = (result[t] as number) - factor * (earlier[t] as number);
    }
    const diagonal = lower[p]?.[p] as number;
    solved.push(result.map((value) => value / diagonal));
  }
  return solved;
}

function transpose(rows: readonly Float64Array[]): Float64Array[] {
  const width = rows[0]?.length ?? 0;
  return Array.from({ length: width }, (_, t) => Float64Array.from(rows, (row) => row[t] as number));
}

/** Prior covariance of two tensors' ln density. */
function kernel(tensors: readonly ProbedTensor[], a: number, b: number): number {
  const first = tensors[a] as ProbedTensor;
  const second = tensors[b] as ProbedTensor;
  const sameClass = first.class === second.class;
  let covariance = SPREAD.level ** 2;
  if (sameClass) covariance += SPREAD.class ** 2;
  if (first.depth !== undefined && second.depth !== undefined) {
    const alike = Math.exp(-Math.abs(first.depth - second.depth) / DEPTH_LENGTH);
    covariance += (SPREAD.sharedDepth ** 2 + (sameClass ? SPREAD.depth ** 2 : 0)) * alike;
  }
  return a === b ? covariance + SPREAD.tensor ** 2 : covariance;
}
