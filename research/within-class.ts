/**
 * What the metrics say of a tensor beside its class: values standardized within each class, their correlation with
 * the measured sensitivity, and a score fitted to it. Density here is KLD ÷ (elements × distortion of the probe's
 * type), so that what a metric merely knows of the distortion is taken out.
 */
import type { Analysis, Metrics, TensorAnalysis } from "../src/analyze/analysis.ts";
import { METRIC_TABLE } from "../src/analyze/metric-table.ts";
import { fromDensity, type Sensitivity } from "../src/sensitivity/sensitivity.ts";

/** Of research/probe-tensors.ts. */
export interface Probe {
  readonly kld: number;
  readonly se: number;
  readonly distortion: number;
  readonly elements: number;
}

export interface ProbedModel {
  readonly analysis: Analysis;
  readonly probes: Readonly<Record<string, Probe>>;
}

/** Classes of fewer tensors say nothing of what varies within them. */
const LEAST_CLASS = 4;

/** The metrics, in the order of docs/metrics.md; errors as logarithms. */
export const WITHIN_CLASS: Readonly<Record<string, (metrics: Metrics) => number | undefined>> = Object.fromEntries(
  METRIC_TABLE.map(({ name, label, read }) => (name === "osqe" ? ["ln OSQE(3)", logOf(read)] : [label, read])),
);

function logOf(read: (metrics: Metrics) => number | undefined): typeof read {
  return (metrics) => {
    const value = read(metrics);
    return value === undefined ? undefined : Math.log(value);
  };
}

/** By metric: tensor → z within its class; classes with fewer than four tensors, or equal values, are left out. */
export function withinClass(analysis: Analysis): Map<string, Map<string, number>> {
  const tensors = analysis.tensors.filter(({ eligible }) => eligible);
  return new Map(
    Object.entries(WITHIN_CLASS).map(([metric, metricOf]) => [
      metric,
      standardize(tensors, (tensor) => metricOf(tensor.metrics ?? {}), true),
    ]),
  );
}

/** The layer's number, standardized as the metrics are. */
export function layersWithinClass(analysis: Analysis): Map<string, number> {
  return standardize(
    analysis.tensors.filter(({ eligible }) => eligible),
    ({ layer }) => layer,
    true,
  );
}

/** ln density of each probed tensor, less the mean of its class. */
export function logDensities(analysis: Analysis, probes: Readonly<Record<string, Probe>>): Map<string, number> {
  const density = ({ name }: TensorAnalysis) => {
    const probe = probes[name];
    return probe && Math.log(probe.kld / (probe.elements * probe.distortion));
  };
  return standardize(
    analysis.tensors.filter(({ eligible }) => eligible),
    density,
    false,
  );
}

function standardize(
  tensors: readonly TensorAnalysis[],
  metricOf: (tensor: TensorAnalysis) => number | undefined,
  scale: boolean,
): Map<string, number> {
  const classes = new Map<string, { name: string; value: number }[]>();
  for (const tensor of tensors) {
    const value = metricOf(tensor);
    if (value === undefined) continue;
    classes.set(tensor.class, [...(classes.get(tensor.class) ?? []), { name: tensor.name, value }]);
  }
  const standard = new Map<string, number>();
  for (const members of classes.values()) {
    const mean = members.reduce((sum, { value }) => sum + value, 0) / members.length;
    const deviation = Math.sqrt(members.reduce((sum, { value }) => sum + (value - mean) ** 2, 0) / members.length);
    if (members.length < LEAST_CLASS || deviation === 0) continue;
    for (const { name, value } of members) standard.set(name, (value - mean) / (scale ? deviation : 1));
  }
  return standard;
}

export interface Correlation {
  readonly rho: number;
  readonly tensors: number;
  /** ln density per standard deviation of the metric, by least squares. */
  readonly slope: number;
}

/** Correlate what both have. */
export function correlate(x: ReadonlyMap<string, number>, y: ReadonlyMap<string, number>): Correlation {
  const pairs = [...x].flatMap(([name, value]): [number, number][] => {
    const other = y.get(name);
    return other === undefined ? [] : [[value, other]];
  });
  const sum = (of: (pair: [number, number]) => number) => pairs.reduce((total, pair) => total + of(pair), 0);
  const [xx, yy, xy] = [sum(([a]) => a * a), sum(([, b]) => b * b), sum(([a, b]) => a * b)];
  return { rho: xy / Math.sqrt(xx * yy), tensors: pairs.length, slope: xy / xx };
}

/** Σ slope · |rho| · z over the metrics, slope and rho within classes on the other models; by tensor. */
export function metricScore(analysis: Analysis, others: readonly ProbedModel[]): (tensor: string) => number {
  const fitted = others.map((other) => ({
    scores: withinClass(other.analysis),
    measured: logDensities(other.analysis, other.probes),
  }));
  const own = withinClass(analysis);
  const weights = [...own.keys()].map((metric): [string, number] => {
    const found = fitted.map(({ scores, measured }) => correlate(scores.get(metric) ?? new Map(), measured));
    const shrunk = found.map(({ slope, rho }) => slope * Math.abs(rho));
    return [metric, shrunk.reduce((sum, weight) => sum + weight, 0) / Math.max(1, shrunk.length)];
  });
  return (tensor) => weights.reduce((sum, [metric, weight]) => sum + weight * (own.get(metric)?.get(tensor) ?? 0), 0);
}

/** A sensitivity with the score on top of it. */
export function withMetrics(analysis: Analysis, base: Sensitivity, score: (tensor: string) => number): Sensitivity {
  const density = ({ name, elements }: TensorAnalysis) =>
    ((base.values.get(name) ?? 0) / elements) * Math.exp(score(name));
  return { ...base, mode: `${base.mode} + metrics`, values: fromDensity(analysis, density) };
}
