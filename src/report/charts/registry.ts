/**
 * Every picture of a report, in the order of its page: what it is drawn from, where it stands, and the name of its files. A
 * new one is an entry here. The map of the page is a grid of its own (page/map-grid.ts); its pictures are for files. Runs in the page
 * too.
 */
import type { Plan } from "../../plan/plan.ts";
import { present } from "../../present.ts";
import type { Run } from "../../run/run-document.ts";
import type { Chart, ChartSettings } from "./chart.ts";
import { classBytesChart } from "./class-bytes.ts";
import { densitiesChart } from "./densities.ts";
import { mapChart } from "./map.ts";
import { availableLayers, type MapLayerKey, type MapTensor } from "./model-map.ts";
import { hasMetric, type MeasuredRun, PARETO_METRICS, type ParetoMetric, paretoChart } from "./pareto.ts";
import { predictedMeasuredChart } from "./predicted-measured.ts";

/** What there is to draw. */
export interface ChartSource {
  readonly run?: (MeasuredRun & Pick<Run, "refinement">) | undefined;
  readonly plan?: Plan | undefined;
  readonly tensors?: readonly MapTensor[] | undefined;
}

export interface ChartEntry {
  /** Of its figure in the page. */
  readonly id: string;
  /** Of its files, without extension; the name of a variant follows. */
  readonly file: string;
  /** The section of the page that shows it: of its own, or among the results. Absent: files only. */
  readonly section?: { readonly own: boolean; readonly link?: string };
  /** Whether it follows a plan that is made anew in the page. */
  readonly live?: boolean;
  /** What it may show in turn; the first where nothing is chosen. */
  readonly variants?: (source: ChartSource) => readonly string[];
  /** Undefined where the source holds nothing of it. */
  readonly draw: (source: ChartSource, settings: ChartSettings, variant?: string) => Chart | undefined;
}

export const CHARTS: readonly ChartEntry[] = [
  {
    id: "pareto",
    file: "pareto",
    section: { own: false },
    variants: ({ run }) => PARETO_METRICS.filter((metric) => run !== undefined && hasMetric(run.rows, metric)),
    draw: ({ run }, settings, variant) =>
      run && paretoChart(run, { ...settings, ...present({ metric: variant as ParetoMetric | undefined }) }),
  },
  {
    id: "classes",
    file: "classes",
    section: { own: true, link: "Bytes and loss" },
    live: true,
    draw: ({ plan }, settings) => plan && classBytesChart(plan, settings),
  },
  {
    id: "predicted",
    file: "predicted-measured",
    section: { own: true },
    draw: ({ run, plan }, settings) => run && plan && predictedMeasuredChart(run, plan, settings),
  },
  {
    id: "densities",
    file: "densities",
    section: { own: true, link: "Probes" },
    draw: ({ run }, settings) => run?.refinement && densitiesChart(run.refinement, settings),
  },
  {
    id: "map",
    file: "map",
    variants: ({ tensors = [] }) => availableLayers(tensors).map(({ key }) => key),
    draw: ({ tensors }, settings, variant) =>
      tensors && mapChart(tensors, { ...settings, ...present({ layer: variant as MapLayerKey | undefined }) }),
  },
];

/** The picture with this id, as a model card and the page ask for it. */
export function chartEntry(id: string): ChartEntry {
  const found = CHARTS.find((entry) => entry.id === id);
  if (found === undefined) throw new RangeError(`there is no picture ${id}`);
  return found;
}
