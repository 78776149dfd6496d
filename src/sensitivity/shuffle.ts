import type { Analysis, TensorAnalysis } from "../analyze/analysis.ts";
import { createNormal, createRandom, shuffled } from "../random.ts";
import { DENSITY_LOG_SD, fromDensity, type Sensitivity } from "./sensitivity.ts";

/** Relative difference below which densities count as equal. */
const SAME = 1e-9;

/**
 * Make the control of a sensitivity: its densities permuted among the eligible tensors, the same for the same seed. A
 * permutation of equal densities would change nothing; then log-normal densities with the log-sd of real ones are
 * drawn.
 */
export function shuffleSensitivity(analysis: Analysis, base: Sensitivity, seed: number): Sensitivity {
  const tensors = analysis.tensors.filter((tensor) => tensor.eligible);
  const densities = tensors.map((tensor) => densityOf(base, tensor));
  const random = createRandom(seed);
  const equal = Math.max(...densities) <= (1 + SAME) * Math.min(...densities);
  const normal = createNormal(random);
  const others = equal
    ? densities.map((density) => density * Math.exp(DENSITY_LOG_SD * normal()))
    : shuffled(densities, random);
  const byName = new Map(tensors.map((tensor, index): [string, number] => [tensor.name, others[index] ?? 1]));
  return {
    mode: `shuffle of ${base.mode}`,
    version: `${base.version} seed ${seed}`,
    lossUnit: base.lossUnit,
    values: fromDensity(analysis, (tensor) => byName.get(tensor.name) ?? 1),
    // a control has the constraints of what it controls
    ...(base.headKnown ? { headKnown: true } : {}),
  };
}

function densityOf(base: Sensitivity, tensor: TensorAnalysis): number {
  return (base.values.get(tensor.name) ?? 0) / tensor.elements;
}
