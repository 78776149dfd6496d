/**
 * What is believed of the tensors of a model before any probe: ln density is a Gaussian process around the prior, with a
 * level of the model, a deviation of each tensor class, a smooth one along the depth, of all classes and of each, and one
 * of each tensor.
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

/**
 * Standard deviations of ln density. In the median of 14 models of Thireus' GGUF Tool Suite (research/density-spread.ts)
 * classes differ by 1.4 and the tensors of a class by 0.5, neighbours by 0.2; small models differ more along the depth.
 * `level` is what is left of the prior's own level, which is fitted to the probes first.
 */
export const SPREAD = { level: 2, class: 1.2, depth: 0.6, sharedDepth: 0.3, tensor: 0.3 } as const;
/** Share of the depth over which neighbours stop being alike. */
const DEPTH_LENGTH = 0.2;
/** The tensors, and the covariance of ln density of every two of them. */
export interface ProbeKernel {
  readonly tensors: readonly ProbedTensor[];
  /** By row and column. */
  readonly covariance: readonly Float64Array[];
}

export function probeKernel(tensors: readonly ProbedTensor[]): ProbeKernel {
  return {
    tensors,
    covariance: tensors.map((_, a) => Float64Array.from(tensors, (_, b) => kernel(tensors, a, b))),
  };
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
