import type { Metrics } from "../../src/analyze/analysis.ts";

/** Every metric at a level: what any of them depends on grows with it. */
export function metricsAt(level: number): Metrics {
  return {
    alphaHill: { value: 2 + level, tail: 100, se: 0.1 },
    spectralDominance: { value: level, stableRank: 10 },
    osqe: { b2: 0.1 + level, b3: 0.03 + level, b4: 0.008 + level, b6: 0.0004 + level },
    imbalance: { value: level, row: 0, column: level, columnLogSpread: 0 },
    fragility: 2 + level,
    boundaryDensity: -0.3 + level,
    spectralPosition: level,
  };
}
