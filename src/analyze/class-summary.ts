import type { ClassSummary, Metrics, TensorAnalysis } from "./analysis.ts";

export type SummaryMetric = keyof ClassSummary["metrics"];

/** The one number of each metric that classes are compared by. */
export const SUMMARY_METRICS: Readonly<Record<SummaryMetric, (metrics: Metrics) => number | undefined>> = {
  alphaHill: (metrics) => metrics.alphaHill?.value,
  spectralDominance: (metrics) => metrics.spectralDominance?.value,
  osqe3: (metrics) => metrics.osqe?.b3,
  imbalance: (metrics) => metrics.imbalance?.value,
  fragility: (metrics) => metrics.fragility,
  boundaryDensity: (metrics) => metrics.boundaryDensity,
  spectralPosition: (metrics) => metrics.spectralPosition,
};

/**
 * Average the metrics of the eligible tensors of each class, weighted by elements; a metric no tensor of the class has
 * is absent. Classes come in the order of their first tensor.
 */
export function summarizeClasses(tensors: readonly TensorAnalysis[]): ClassSummary[] {
  const classes = new Map<string, TensorAnalysis[]>();
  for (const tensor of tensors) {
    if (!tensor.eligible) continue;
    const members = classes.get(tensor.class);
    if (members === undefined) classes.set(tensor.class, [tensor]);
    else members.push(tensor);
  }
  return [...classes].map(([name, members]) => ({
    class: name,
    tensors: members.length,
    elements: members.reduce((sum, tensor) => sum + tensor.elements, 0),
    metrics: meanMetrics(members),
  }));
}

function meanMetrics(members: readonly TensorAnalysis[]): ClassSummary["metrics"] {
  const means: Partial<Record<SummaryMetric, number>> = {};
  for (const name of Object.keys(SUMMARY_METRICS) as SummaryMetric[]) {
    let sum = 0;
    let elements = 0;
    for (const tensor of members) {
      const value = tensor.metrics === undefined ? undefined : SUMMARY_METRICS[name](tensor.metrics);
      if (value === undefined) continue;
      sum += tensor.elements * value;
      elements += tensor.elements;
    }
    if (elements > 0) means[name] = sum / elements;
  }
  return means;
}
