/** Metrics of a tensor class. */
import type { ClassSummary, TensorAnalysis } from "./analysis.ts";
import { METRIC_TABLE, type SummaryMetric } from "./metric-table.ts";

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
  for (const { summary, read } of METRIC_TABLE) {
    let sum = 0;
    let elements = 0;
    for (const tensor of members) {
      const value = tensor.metrics && read(tensor.metrics);
      if (value === undefined) continue;
      sum += tensor.elements * value;
      elements += tensor.elements;
    }
    if (elements > 0) means[summary] = sum / elements;
  }
  return means;
}
