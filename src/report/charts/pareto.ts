/** File size against quality: the plan among its controls, with error bars, and the front of those none beats. */
import { formatInteger, formatSize } from "../../numbers.ts";
import { rowOfPoint } from "../../run/family.ts";
import { survivors } from "../../run/front.ts";
import type { Run, RunRow } from "../../run/run-document.ts";
import { shownLabel } from "../../run/shown-label.ts";
import { namedRows } from "../family-choices.ts";
import { formatMeanSe } from "../terminal/mean-se.ts";
import { type Chart, type ChartSettings, chartBase } from "./chart.ts";
import { extentOf, formatTick, gridLines, logTicks, valueAxis } from "./extent.ts";
import {
  barEnds,
  errorBars,
  KIND_NAMES,
  labelSeries,
  pointSeries,
  type ScatterPoint,
  scatterFrame,
} from "./scatter.ts";
import type { ChartTable } from "./table.ts";

/** In the order of preference: the verdict on a reranker goes by its ranking, on what embeds by its vectors, else by the KLD. */
export const PARETO_METRICS = ["rerank", "drift", "kld", "ppl"] as const;

export type ParetoMetric = (typeof PARETO_METRICS)[number];

export interface ParetoSettings extends ChartSettings {
  /** Default: the first of PARETO_METRICS that was measured. */
  readonly metric?: ParetoMetric;
}

export interface MetricNames {
  /** Of an axis. */
  readonly axis: string;
  /** Of a column. */
  readonly column: string;
  readonly short: string;
  /** What a person chooses between. */
  readonly choice: string;
}

/** Pixels of the picture's height without its legend. */
const PLOT_PX = 410;

export const METRIC_NAMES: Readonly<Record<ParetoMetric, MetricNames>> = {
  rerank: {
    axis: "mean |Δscore| of documents",
    column: "mean |Δscore|",
    short: "|Δscore|",
    choice: "scores of documents",
  },
  drift: { axis: "drift of embeddings, 1 − cosine", column: "drift", short: "drift", choice: "drift of embeddings" },
  kld: { axis: "mean KL divergence, nats per token", column: "KLD, nats", short: "KLD", choice: "KL divergence" },
  ppl: { axis: "perplexity", column: "PPL", short: "PPL", choice: "perplexity" },
};

/**
 * The quality of a row and its standard error; of a perplexity that of its ratio to the reference's, where there is one:
 * both were measured on one text, and how hard that is says nothing of the model.
 */
export function qualityOf(row: RunRow, metric: ParetoMetric): { value: number; se: number } | undefined {
  const { ppl, lnPplRatio, rerank, embedding } = row;
  if (metric === "rerank") return rerank?.meanAbsDelta;
  if (metric === "drift") return embedding?.drift;
  if (metric === "ppl") return ppl && { value: ppl.value, se: lnPplRatio ? ppl.value * lnPplRatio.se : ppl.se };
  return row.kld === undefined ? undefined : { value: row.kld.mean, se: row.kld.se };
}

export type MeasuredRun = Pick<Run, "rows" | "sweep" | "family">;

/** The rows of a run and the points of its sweep; a point of the plan's own size is the plan. */
export function measuredRows(run: MeasuredRun): RunRow[] {
  const rows = namedRows(run);
  const points = run.sweep?.points ?? [];
  const planned = points.map((point) => rowOfPoint(point, "plan"));
  const coded = points.flatMap(({ feedback }) => (feedback === undefined ? [] : [rowOfPoint(feedback, "feedback")]));
  return [...rows, ...[...planned, ...coded].filter((point) => !isPlanRow(run, point))];
}

/** Whether a row is the plan of the run, or its codes with error feedback, and not of another size. */
export function isPlanRow({ rows }: Pick<Run, "rows">, { kind, fileBytes }: RunRow): boolean {
  return (
    (kind === "plan" || kind === "feedback") && rows.some((row) => row.kind === kind && row.fileBytes === fileBytes)
  );
}

/** Whether any row but the reference was measured in this way. */
export function hasMetric(rows: readonly RunRow[], metric: ParetoMetric): boolean {
  return rows.some((row) => row.kind !== "reference" && qualityOf(row, metric) !== undefined);
}

/** The metric that a run is judged by; undefined where nothing was measured. */
export function preferredMetric(rows: readonly RunRow[]): ParetoMetric | undefined {
  return PARETO_METRICS.find((metric) => hasMetric(rows, metric));
}

/** The rows but the reference that no other one beats in this metric (run/front.ts), smallest first. */
export function paretoFront(rows: readonly RunRow[], metric: ParetoMetric): RunRow[] {
  const measured = rows.flatMap((row) => {
    const quality = row.kind === "reference" ? undefined : qualityOf(row, metric);
    return quality === undefined ? [] : [{ row, fileBytes: row.fileBytes, value: quality.value }];
  });
  return survivors(measured).map(({ row }) => row);
}

/** Draw the rows of a run and the points of its sweep; undefined where none was measured. */
export function paretoChart(run: MeasuredRun, settings: ParetoSettings = {}): Chart | undefined {
  const rows = measuredRows(run);
  const metric = settings.metric ?? preferredMetric(rows);
  if (metric === undefined || !hasMetric(rows, metric)) return undefined;
  const points = pointsOf(rows, metric);
  const { theme, widthPx, narrow, option, axis, legend } = chartBase(settings);
  // distances from the reference span orders of magnitude and are above 0; perplexities of one model don't
  const log = metric !== "ppl" && points.every(({ y }) => y > 0);
  const { grid, area, heightPx } = scatterFrame(points, widthPx, PLOT_PX);
  const sizes = extentOf(
    points.map(({ x }) => x),
    0.16,
    false,
  );
  const qualities = extentOf(
    points.flatMap((point) => barEnds(point, log)),
    0.08,
    log,
  );
  return {
    title: "Size against quality",
    description:
      `Across: file size. Up: ${METRIC_NAMES[metric].axis}. Lower and further left is better. ` +
      `Bars are two standard errors${metric === "ppl" ? " of the ratio to the reference's" : ""}. ` +
      "The line joins the files of which no other is both smaller and better; their names are bold.",
    widthPx,
    heightPx,
    table: paretoTable(rows, metric),
    option: {
      ...option,
      legend: { ...legend, top: 4, left: grid.left - 8, itemGap: 16, selectedMode: false },
      grid: { ...grid, containLabel: false },
      xAxis: { ...valueAxis(sizes, axis, formatSize), name: "file size", nameGap: 30 },
      yAxis: { ...valueAxis(qualities, axis, formatTick), name: narrow ? "" : METRIC_NAMES[metric].axis, nameGap: 54 },
      series: [
        { ...gridLines(theme), data: (log ? logTicks(qualities) : []).map((tick) => [sizes.min, tick]) },
        frontSeries(points, theme.accent),
        errorBars(points, theme, log),
        ...pointSeries(points, theme),
        ...labelSeries(points, sizes, qualities, area, theme),
      ],
    },
  };
}

function pointsOf(rows: readonly RunRow[], metric: ParetoMetric): ScatterPoint[] {
  const front = new Set(paretoFront(rows, metric).map(({ label }) => label));
  return rows.flatMap((row) => {
    const quality = row.kind === "reference" ? undefined : qualityOf(row, metric);
    if (quality === undefined) return [];
    const { label, kind, fileBytes, bpw } = row;
    const lines = [
      `${KIND_NAMES[kind]}`,
      `${formatInteger(fileBytes)} bytes, ${bpw.toFixed(3)} bpw`,
      `${METRIC_NAMES[metric].short} ${formatMeanSe(quality)}`,
      ...(row.verdict === undefined || kind === "plan" ? [] : [row.verdict]),
    ];
    return [{ label, kind, x: fileBytes, y: quality.value, se: quality.se, survives: front.has(label), lines }];
  });
}

function frontSeries(points: readonly ScatterPoint[], color: string) {
  const front = points.filter(({ survives }) => survives).sort((a, b) => a.x - b.x);
  return {
    type: "line",
    silent: true,
    showSymbol: false,
    z: 2,
    step: "end",
    lineStyle: { color, width: 1.5, type: "dashed", opacity: 0.55 },
    itemStyle: { color },
    data: front.map(({ x, y }) => [x, y]),
  } as const;
}

function paretoTable(rows: readonly RunRow[], metric: ParetoMetric): ChartTable {
  const front = new Set(paretoFront(rows, metric).map(({ label }) => label));
  return {
    columns: [
      { header: "model" },
      { header: "kind" },
      { header: "file bytes", kind: "bytes" },
      { header: "bpw", kind: "number", digits: 4 },
      { header: METRIC_NAMES[metric].column, kind: "number" },
      { header: "±", kind: "number" },
      { header: "front" },
    ],
    rows: rows.map((row) => {
      const quality = qualityOf(row, metric);
      const survives = front.has(row.label) ? "yes" : "";
      return [
        shownLabel(row.label),
        KIND_NAMES[row.kind],
        row.fileBytes,
        row.bpw,
        quality?.value,
        quality?.se,
        survives,
      ];
    }),
  };
}
