/** Layers × tensor classes: the model as a grid, and what may be shown in its cells. */
import type { Analysis, TensorAnalysis } from "../../analyze/analysis.ts";
import { METRIC_TABLE, type SummaryMetric } from "../../analyze/metric-table.ts";
import type { TensorType } from "../../ggml/tensor-types.ts";
import { formatAmount, formatPercent } from "../../numbers.ts";
import type { Plan, PlanTensor, Reason } from "../../plan/plan.ts";
import { present } from "../../present.ts";

/** A tensor of the map, from a plan, an analysis, or both. */
export interface MapTensor {
  readonly name: string;
  readonly class: string;
  readonly layer?: number;
  readonly shape: readonly number[];
  readonly elements: number;
  readonly sourceType: TensorType;
  /** What the plan chose. */
  readonly type?: TensorType;
  readonly reason?: Reason;
  readonly byteShare?: number;
  readonly lossShare?: number;
  readonly sensitivity?: number;
  /** D of the chosen type, or, without a plan, of the type measured nearest to Q4_K. */
  readonly distortion?: number;
  readonly metrics?: TensorMetrics;
}

export interface MapRow {
  readonly class: string;
  /** One per layer of the map, in order. */
  readonly cells: readonly (MapTensor | undefined)[];
}

export interface ModelMap {
  readonly layers: readonly number[];
  readonly rows: readonly MapRow[];
  /** Tensors of no layer: token_embd, output. */
  readonly others: readonly MapTensor[];
}

export type MapLayerKey = "type" | SummaryMetric | "distortion" | "sensitivity" | "byteShare" | "lossShare";

/** One switchable layer of the map. */
export interface MapLayer {
  readonly key: MapLayerKey;
  readonly label: string;
  /** What it means, in a sentence. */
  readonly meaning: string;
  /** Undefined for `type`, which has no order to colour by but its own. */
  readonly measure?: (tensor: MapTensor) => number | undefined;
  /** Whether values spread over orders of magnitude. */
  readonly log?: boolean;
  readonly show: (value: number) => string;
}

export const MAP_LAYERS: readonly MapLayer[] = [
  { key: "type", label: "chosen type", meaning: "The tensor type the plan chose.", show: formatAmount },
  {
    key: "byteShare",
    label: "share of bytes",
    meaning: "Share of the bytes of all tensors.",
    measure: ({ byteShare }) => byteShare,
    log: true,
    show: (value) => formatPercent(value, 2),
  },
  {
    key: "lossShare",
    label: "share of predicted loss",
    meaning: "Share of the plan's predicted loss.",
    measure: ({ lossShare }) => lossShare,
    log: true,
    show: (value) => formatPercent(value, 2),
  },
  {
    key: "sensitivity",
    label: "sensitivity",
    meaning: "s: expected loss per unit of distortion.",
    measure: ({ sensitivity }) => sensitivity,
    log: true,
    show: formatAmount,
  },
  {
    key: "distortion",
    label: "distortion",
    meaning: "D: relative squared error of the weights in the chosen type.",
    measure: ({ distortion }) => distortion,
    log: true,
    show: formatAmount,
  },
  ...METRIC_TABLE.map(
    ({ summary, label, meaning }): MapLayer => ({
      key: summary,
      label,
      meaning,
      measure: ({ metrics }) => metrics?.[summary],
      show: formatAmount,
    }),
  ),
];

/** The layers for which any tensor has a value. */
export function availableLayers(tensors: readonly MapTensor[]): MapLayer[] {
  return MAP_LAYERS.filter(({ measure }) =>
    tensors.some((tensor) => (measure === undefined ? tensor.type !== undefined : measure(tensor) !== undefined)),
  );
}

/** Where values of a layer lie between its least and its largest: 0 to 1. */
export function layerScale(
  layer: MapLayer,
  tensors: readonly MapTensor[],
): { readonly min: number; readonly max: number; share(value: number): number } | undefined {
  const { measure, log = false } = layer;
  if (measure === undefined) return undefined;
  const values = tensors.flatMap((tensor) => measure(tensor) ?? []);
  const scaled = log ? values.filter((value) => value > 0).map(Math.log) : values;
  if (values.length === 0) return undefined;
  const [low, high] = scaled.reduce(([a, b], value) => [Math.min(a, value), Math.max(b, value)], [
    Number.POSITIVE_INFINITY,
    Number.NEGATIVE_INFINITY,
  ] as [number, number]);
  const share = (value: number): number => {
    if (log && value <= 0) return 0;
    return high > low ? ((log ? Math.log(value) : value) - low) / (high - low) : 0.5;
  };
  const [min, max] = values.reduce(([a, b], value) => [Math.min(a, value), Math.max(b, value)], [
    values[0] as number,
    values[0] as number,
  ] as [number, number]);
  return { min, max, share };
}

export type TensorMetrics = Readonly<Partial<Record<SummaryMetric, number>>>;

/** What of a model can be quantized, from a plan, an analysis of the same model, or both. */
export function mapTensors(
  plan?: Pick<Plan, "tensors" | "predicted">,
  analysis?: Pick<Analysis, "tensors">,
): MapTensor[] {
  const metrics = metricsByName(analysis);
  if (plan !== undefined) return planTensors(plan, metrics);
  const eligible = analysis?.tensors.filter((tensor) => tensor.eligible) ?? [];
  return eligible.map((tensor) => fromAnalysis(tensor, metrics.get(tensor.name)));
}

/** The same of a plan, with metrics that were summarized before. */
export function planTensors(
  { tensors, predicted }: Pick<Plan, "tensors" | "predicted">,
  metrics: ReadonlyMap<string, TensorMetrics>,
): MapTensor[] {
  return tensors
    .filter(({ reason }) => reason !== "ineligible")
    .map((tensor) => fromPlan(tensor, predicted.tensorBytes, metrics.get(tensor.name)));
}

/** The one number of each metric that tensors are compared by, for tensors that have any. */
export function metricsByName(analysis?: Pick<Analysis, "tensors">): Map<string, TensorMetrics> {
  const entries = analysis?.tensors.map((tensor) => [tensor.name, summarize(tensor)] as const) ?? [];
  return new Map(entries.filter(([, metrics]) => Object.keys(metrics).length > 0));
}

function fromPlan(tensor: PlanTensor, tensorBytes: number, metrics: TensorMetrics | undefined): MapTensor {
  const { name, shape, elements, sourceType, type, reason, layer, lossShare, sensitivity, distortion } = tensor;
  return {
    name,
    class: tensor.class,
    shape,
    elements,
    sourceType,
    type,
    reason,
    byteShare: tensor.bytes / Math.max(1, tensorBytes),
    ...present({ layer, lossShare, sensitivity, distortion, metrics }),
  };
}

function fromAnalysis(tensor: TensorAnalysis, metrics: TensorMetrics | undefined): MapTensor {
  const { name, shape, elements, sourceType, layer } = tensor;
  const distortion = tensor.distortion?.Q4_K ?? tensor.distortion?.Q4_0;
  return {
    name,
    class: tensor.class,
    shape,
    elements,
    sourceType,
    ...present({ layer, distortion: distortion?.value, metrics }),
  };
}

function summarize({ metrics }: TensorAnalysis): TensorMetrics {
  if (metrics === undefined) return {};
  return present(Object.fromEntries(METRIC_TABLE.map(({ summary, read }) => [summary, read(metrics)])));
}

/**
 * Arrange tensors by class and layer, classes in the order they come. Layers are those that occur, not all up to the
 * last: a number in a stranger's file may be any. A class with two tensors in one layer has two rows.
 */
export function arrangeMap(tensors: readonly MapTensor[]): ModelMap {
  const layers = [...new Set(tensors.flatMap(({ layer }) => layer ?? []))].sort((a, b) => a - b);
  const columnOf = new Map(layers.map((layer, column) => [layer, column]));
  const classes = new Map<string, (MapTensor | undefined)[][]>();
  for (const tensor of tensors) {
    if (tensor.layer === undefined) continue;
    const column = columnOf.get(tensor.layer) as number;
    const rows = classes.get(tensor.class) ?? [];
    classes.set(tensor.class, rows);
    let row = rows.find((cells) => cells[column] === undefined);
    if (row === undefined) {
      row = new Array<MapTensor | undefined>(layers.length).fill(undefined);
      rows.push(row);
    }
    row[column] = tensor;
  }
  return {
    layers,
    rows: [...classes].flatMap(([name, rows]) => rows.map((cells) => ({ class: name, cells }))),
    others: tensors.filter(({ layer }) => layer === undefined),
  };
}
