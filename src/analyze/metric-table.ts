/**
 * The seven metrics, as everything but their computation speaks of them: analysis tables, class summaries, the composite,
 * the map of a report. Their definitions stand in the file of each; a new one is a line here, its fields in analysis.ts
 * and its computation in metrics.ts. Runs in the page of a report.
 */
import type { MetricName, Metrics } from "./analysis.ts";

/** What the one number of a metric is called in summaries: the metric's name, but for OSQE, of which 3 bits speak. */
export type SummaryMetric = Exclude<MetricName, "osqe"> | "osqe3";

export interface MetricEntry {
  readonly name: MetricName;
  readonly summary: SummaryMetric;
  /** The one number that tensors and classes are compared by. */
  readonly read: (metrics: Metrics) => number | undefined;
  /** +1 where a high value calls for more bits. */
  readonly direction: 1 | -1;
  /** Header of a column of 6 characters, and what it means in a few words. */
  readonly header: string;
  readonly legend: string;
  readonly label: string;
  /** A sentence. */
  readonly meaning: string;
}

export const METRIC_TABLE: readonly MetricEntry[] = [
  {
    name: "alphaHill",
    summary: "alphaHill",
    read: ({ alphaHill }) => alphaHill?.value,
    direction: -1,
    header: "alpha",
    legend: "tail exponent of the spectrum, low is heavy",
    label: "PL-Alpha-Hill",
    meaning: "Exponent of the spectrum's tail; low values call for more bits.",
  },
  {
    name: "spectralDominance",
    summary: "spectralDominance",
    read: ({ spectralDominance }) => spectralDominance?.value,
    direction: 1,
    header: "domin.",
    legend: "ln of the top singular value's share over noise",
    label: "spectral dominance",
    meaning: "Largest singular value above that of random weights, nats.",
  },
  {
    name: "osqe",
    summary: "osqe3",
    read: ({ osqe }) => osqe?.b3,
    direction: 1,
    header: "OSQE3",
    legend: "best relative error in 3 bits",
    label: "OSQE at 3 bits",
    meaning: "Error of scale-optimal quantization to 3 bits in groups of 32.",
  },
  {
    name: "imbalance",
    summary: "imbalance",
    read: ({ imbalance }) => imbalance?.value,
    direction: 1,
    header: "imbal.",
    legend: "spread of row and column sizes",
    label: "imbalance",
    meaning: "Spread of the sizes of rows or columns.",
  },
  {
    name: "fragility",
    summary: "fragility",
    read: ({ fragility }) => fragility,
    direction: 1,
    header: "fragil.",
    legend: "ln OSQE2/OSQE4",
    label: "fragility",
    meaning: "How fast the error falls from 2 to 4 bits, nats.",
  },
  {
    name: "boundaryDensity",
    summary: "boundaryDensity",
    read: ({ boundaryDensity }) => boundaryDensity,
    direction: 1,
    header: "bound.",
    legend: "weights near rounding thresholds against uniform",
    label: "boundary density",
    meaning: "How many weights lie near a decision threshold, against uniform.",
  },
  {
    name: "spectralPosition",
    summary: "spectralPosition",
    read: ({ spectralPosition }) => spectralPosition,
    direction: 1,
    header: "pos.",
    legend: "1 at both ends of the network, 0 mid-way",
    label: "spectral position",
    meaning: "0 amid the network, 1 at its ends.",
  },
];
