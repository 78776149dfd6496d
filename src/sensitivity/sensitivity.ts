/**
 * Sensitivity s of every eligible tensor: expected loss per unit of relative distortion, s = elements × density.
 * Analysis in, a map from tensor name to s out. Here the two that need nothing else: uniform, and the composite of the
 * seven metrics. sensitivity-modes.ts knows them all by name.
 */
import type { Analysis, TensorAnalysis } from "../analyze/analysis.ts";
import { summarizeClasses } from "../analyze/class-summary.ts";
import { METRIC_TABLE } from "../analyze/metric-table.ts";
import { rankNormalScores } from "./rank-normal.ts";

export interface Sensitivity {
  readonly mode: string;
  readonly version: string;
  /** Whether Σ s·D estimates nats of KL divergence or only orders plans. */
  readonly lossUnit: "relative" | "nats" | "drift";
  /** s of each eligible tensor by name. */
  readonly values: ReadonlyMap<string, number>;
  /** The head's own damage was measured, on this model or on its family: a plan needs no guard for it. */
  readonly headKnown?: true;
}

export type SensitivityMode = (analysis: Analysis) => Sensitivity;

/** ln density per unit of score: the classes of LLaMA-7B differ by a log-sd of 0.68 (llama.cpp #1256, computed). */
export const DENSITY_LOG_SD = 0.7;

/** D(Q4_K) of Gaussian weights without an importance matrix (metrics.md); the bundled model's tensors are within 10 % of it. */
const PLAIN_Q4_K = 5.09e-3;

/**
 * Put a distortion weighted by an importance matrix back on the scale of the unweighted one, which densities are about:
 * the factor on a tensor's density, 1 without a matrix. Where a few inputs hold most of the importance, as in ffn_down,
 * the weighted D of every type is several times smaller, and the model does not mind damage there that much less: with
 * s = elements the plan starved just those tensors (docs/imatrix.md).
 */
export function importanceScale({ importance, distortion }: TensorAnalysis): number {
  const weighted = importance === "used" ? distortion?.Q4_K?.value : undefined;
  return weighted === undefined || weighted === 0 ? 1 : PLAIN_Q4_K / weighted;
}

/** Weigh every weight alike: density 1. */
export function uniformSensitivity(analysis: Analysis): Sensitivity {
  return { mode: "uniform", version: "1", lossUnit: "relative", values: fromDensity(analysis, importanceScale) };
}

/** Weigh by the composite of the seven metrics, one density per class: exp(0.7·S). */
export function prismSensitivity(analysis: Analysis): Sensitivity {
  const scores = compositeScores(analysis.tensors);
  const density = (tensor: TensorAnalysis) =>
    Math.exp(DENSITY_LOG_SD * (scores.get(tensor.class) ?? 0)) * importanceScale(tensor);
  return { mode: "prism", version: "1", lossUnit: "relative", values: fromDensity(analysis, density) };
}

/**
 * Score the classes: S is the mean, over the metrics a class has, of the rank-normal score among the classes, signed
 * so that high means sensitive; 0 for a class without metrics. OSQE counts as ln OSQE(3), whose ranks are those of
 * OSQE(3).
 */
export function compositeScores(tensors: readonly TensorAnalysis[]): Map<string, number> {
  const classes = summarizeClasses(tensors);
  const scores = new Map(classes.map((summary): [string, number[]] => [summary.class, []]));
  for (const { summary: metric, direction } of METRIC_TABLE) {
    const having = classes.flatMap((summary) => {
      const value = summary.metrics[metric];
      return value === undefined ? [] : [{ class: summary.class, value }];
    });
    const normal = rankNormalScores(having.map(({ value }) => value));
    for (const [index, { class: name }] of having.entries()) {
      scores.get(name)?.push(direction * (normal[index] ?? 0));
    }
  }
  return new Map(
    [...scores].map(([name, own]) => [name, own.reduce((sum, z) => sum + z, 0) / Math.max(1, own.length)]),
  );
}

/** Compute s = elements × density for the eligible tensors. */
export function fromDensity(
  analysis: Analysis,
  density: (tensor: TensorAnalysis) => number,
): ReadonlyMap<string, number> {
  const eligible = analysis.tensors.filter((tensor) => tensor.eligible);
  return new Map(eligible.map((tensor) => [tensor.name, tensor.elements * density(tensor)]));
}
