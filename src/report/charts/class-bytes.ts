/** Where the bytes of a plan went and where its predicted loss comes from, by tensor class. */
import type { BarSeriesOption } from "echarts";
import { formatPercent } from "../../numbers.ts";
import type { Plan, PlanTensor } from "../../plan/plan.ts";
import { type Chart, type ChartSettings, chartBase } from "./chart.ts";
import { type ChartTable, showName } from "./table.ts";

export interface ClassShare {
  readonly class: string;
  readonly tensors: number;
  readonly elements: number;
  readonly bytes: number;
  /** Of all tensors. */
  readonly byteShare: number;
  /** Of the plan's loss; absent where nothing of the class was measured. */
  readonly lossShare?: number;
  readonly bpw: number;
}

/** What is left as it was in the source, taken together. */
const LEFT = "(not quantized)";
/** Bars of a chart; the smallest classes of a model with more are one bar. */
const MOST_BARS = 30;
const BAR_PX = 34;

/** Sum a plan by class, largest first. */
export function classShares({ tensors, predicted }: Pick<Plan, "tensors" | "predicted">): ClassShare[] {
  const classes = new Map<string, PlanTensor[]>();
  for (const tensor of tensors) {
    const name = tensor.reason === "ineligible" ? LEFT : tensor.class;
    const members = classes.get(name);
    if (members === undefined) classes.set(name, [tensor]);
    else members.push(tensor);
  }
  return [...classes]
    .map(([name, members]) => shareOf(name, members, predicted.tensorBytes))
    .sort((a, b) => b.bytes - a.bytes);
}

function shareOf(name: string, members: readonly PlanTensor[], tensorBytes: number): ClassShare {
  const bytes = members.reduce((sum, tensor) => sum + tensor.bytes, 0);
  const elements = members.reduce((sum, tensor) => sum + tensor.elements, 0);
  const losses = members.flatMap(({ lossShare }) => (lossShare === undefined ? [] : [lossShare]));
  return {
    class: name,
    tensors: members.length,
    elements,
    bytes,
    byteShare: bytes / Math.max(1, tensorBytes),
    bpw: elements === 0 ? 0 : (8 * bytes) / elements,
    ...(losses.length === 0 ? {} : { lossShare: losses.reduce((sum, share) => sum + share, 0) }),
  };
}

/** Draw a plan's classes. */
export function classBytesChart(plan: Pick<Plan, "tensors" | "predicted">, settings: ChartSettings = {}): Chart {
  const { theme, widthPx, narrow, option, axis, legend } = chartBase(settings);
  const shares = classShares(plan);
  const shown = shares.slice(0, MOST_BARS);
  const names = shown.map((share) => showName(share.class, narrow ? 16 : 26));
  const heightPx = 74 + BAR_PX * shown.length;
  const series = (name: string, color: string, values: (number | undefined)[]): BarSeriesOption => ({
    type: "bar",
    name,
    barMaxWidth: 11,
    barGap: "15%",
    itemStyle: { color, borderRadius: [0, 2, 2, 0] },
    label: {
      show: true,
      position: "right",
      color: theme.muted,
      fontSize: 11,
      formatter: ({ value }: { value: unknown }) => (typeof value === "number" ? formatPercent(value) : ""),
    },
    data: values.map((value) => value ?? "-"),
  });
  return {
    title: "Where the bytes went, where the loss comes from",
    description:
      "By tensor class: the share of the file's tensor bytes it takes, and the share of the predicted loss it causes.",
    widthPx,
    heightPx,
    table: classTable(shares),
    option: {
      ...option,
      legend: { ...legend, top: 4, left: 0, itemGap: 18, selectedMode: false },
      grid: { left: narrow ? 104 : 168, right: 56, top: 40, bottom: 28 },
      xAxis: {
        ...axis,
        type: "value",
        axisLabel: { ...axis.axisLabel, formatter: (value: number) => `${Math.round(100 * value)} %` },
      },
      yAxis: {
        ...axis,
        type: "category",
        inverse: true,
        data: names,
        axisTick: { show: false },
        axisLabel: { ...axis.axisLabel, color: theme.ink, interval: 0 },
        splitLine: { show: false },
      },
      series: [
        series(
          "share of bytes",
          theme.bytes,
          shown.map(({ byteShare }) => byteShare),
        ),
        series(
          "share of predicted loss",
          theme.loss,
          shown.map(({ lossShare }) => lossShare),
        ),
      ],
    },
  };
}

function classTable(shares: readonly ClassShare[]): ChartTable {
  return {
    columns: [
      { header: "class" },
      { header: "tensors", kind: "number", digits: 0 },
      { header: "weights", kind: "bytes" },
      { header: "bytes", kind: "bytes" },
      { header: "bpw", kind: "number", digits: 3 },
      { header: "bytes %", kind: "percent" },
      { header: "loss %", kind: "percent" },
    ],
    rows: shares.map((share) => [
      share.class,
      share.tensors,
      share.elements,
      share.bytes,
      share.bpw,
      share.byteShare,
      share.lossShare,
    ]),
  };
}
