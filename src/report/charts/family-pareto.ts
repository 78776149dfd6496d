/** File size against quality of several models: each has a front of its own, named at its plan. */

import { formatAmount, formatSize } from "../../numbers.ts";
import type { RunRow } from "../../run/run-document.ts";
import { type Chart, type ChartSettings, chartBase } from "./chart.ts";
import { extentOf, formatTick, gridLines, logTicks, valueAxis } from "./extent.ts";
import {
  hasMetric,
  isPlanRow,
  METRIC_NAMES,
  type MeasuredRun,
  measuredRows,
  PARETO_METRICS,
  type ParetoMetric,
  paretoFront,
  qualityOf,
} from "./pareto.ts";
import {
  barEnds,
  errorBars,
  KIND_NAMES,
  labelSeries,
  pointSeries,
  type ScatterPoint,
  scatterFrame,
} from "./scatter.ts";
import { showName } from "./table.ts";

export interface FamilyMember {
  readonly name: string;
  readonly run: MeasuredRun;
}

interface FamilyPoint extends ScatterPoint {
  readonly member: number;
}

/** Rows of the picture: the controls of a plan's inner workings are of no use to who chooses a file. */
const SHOWN_KINDS: readonly RunRow["kind"][] = ["plan", "feedback", "preset", "published", "rival", "uniform"];
/** Sizes further apart than this go on a logarithmic axis. */
const LOG_RATIO = 3;
/** Characters of a model's name beside its plan. */
const MEMBER_CHARACTERS = 22;
const PLOT_PX = 470;

/** Draw the models of a family; undefined where no metric was measured of all of them. */
export function familyParetoChart(members: readonly FamilyMember[], settings: ChartSettings = {}): Chart | undefined {
  const metric = PARETO_METRICS.find((key) => members.every(({ run }) => hasMetric(run.rows, key)));
  if (metric === undefined || members.length === 0) return undefined;
  const points = members.flatMap((member, index) => pointsOf(member, index, metric));
  const { theme, widthPx, option, axis, legend } = chartBase(settings);
  const { grid, area, heightPx } = scatterFrame(points, widthPx, PLOT_PX);
  const bytes = points.map(({ x }) => x);
  const sizes = extentOf(bytes, 0.12, Math.max(...bytes) > LOG_RATIO * Math.min(...bytes));
  const log = points.every(({ y }) => y > 0);
  const qualities = extentOf(
    points.flatMap((point) => barEnds(point, log)),
    0.08,
    log,
  );
  const { axis: name, column } = METRIC_NAMES[metric];
  return {
    title: "Size against quality of the family",
    description:
      `Across: file size. Up: ${name}. Lower and further left is better. Bars are two standard errors. ` +
      "A line joins the files of one model of which no other is both smaller and better.",
    widthPx,
    heightPx,
    table: {
      columns: [
        { header: "model" },
        { header: "method" },
        { header: "kind" },
        { header: "file bytes", kind: "bytes" },
        { header: column, kind: "number" },
        { header: "±", kind: "number" },
        { header: "front" },
      ],
      rows: points.map(({ member, label, kind, x, y, se, survives }) => {
        const method = kind === "plan" ? "PRISM" : label;
        return [members[member]?.name, method, KIND_NAMES[kind], x, y, se, survives ? "yes" : ""];
      }),
    },
    option: {
      ...option,
      legend: { ...legend, top: 4, left: grid.left - 8, itemGap: 16, selectedMode: false },
      grid: { ...grid, containLabel: false },
      xAxis: { ...valueAxis(sizes, axis, formatSize), name: "file size", nameGap: 30 },
      yAxis: { ...valueAxis(qualities, axis, formatTick), name, nameGap: 54 },
      series: [
        { ...gridLines(theme), data: (log ? logTicks(qualities) : []).map((tick) => [sizes.min, tick]) },
        ...members.map((_, index) => frontLine(points, index, theme.accent)),
        errorBars(points, theme, log),
        ...pointSeries(points, theme),
        ...labelSeries(points, sizes, qualities, area, theme),
      ],
    },
  };
}

function pointsOf({ name, run }: FamilyMember, member: number, metric: ParetoMetric): FamilyPoint[] {
  const rows = measuredRows(run);
  const front = new Set(paretoFront(rows, metric));
  const several = run.rows.filter(({ kind }) => kind === "plan").length > 1;
  return rows.flatMap((row) => {
    const quality = SHOWN_KINDS.includes(row.kind) ? qualityOf(row, metric) : undefined;
    if (quality === undefined) return [];
    const isPlan = isPlanRow(run, row) && row.kind === "plan";
    const label = isPlan
      ? `${showName(name, MEMBER_CHARACTERS)}${several ? ` ${row.bpw.toFixed(2)}bpw` : ""}`
      : row.label;
    const lines = [`${METRIC_NAMES[metric].short} ${formatAmount(quality.value)} ± ${formatAmount(quality.se)}`];
    const survives = front.has(row);
    return [{ member, label, kind: row.kind, x: row.fileBytes, y: quality.value, se: quality.se, survives, lines }];
  });
}

function frontLine(points: readonly FamilyPoint[], member: number, color: string) {
  const front = points.filter((point) => point.member === member && point.survives).sort((a, b) => a.x - b.x);
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
