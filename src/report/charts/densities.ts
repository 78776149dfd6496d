/**
 * What probes found: how much the model minds damage, tensor by tensor, with what is not known of it. A band for each
 * class, its layers from left to right.
 */
import type { SeriesOption } from "echarts";
import { formatAmount } from "../../numbers.ts";
import type { ProbedDensity, Refinement } from "../../run/run-document.ts";
import { type Chart, type ChartSettings, chartBase, type RenderItem } from "./chart.ts";
import { extentOf, gridLines, logTicks, valueAxis } from "./extent.ts";
import { showName } from "./table.ts";
import type { ChartTheme } from "./theme.ts";

/** Standard deviations an error bar spans to each side. */
const BAR_DEVIATIONS = 2;
/** Places between two classes, in tensors. */
const GAP_SHARE = 0.02;

interface Place extends ProbedDensity {
  readonly x: number;
}

interface Band {
  readonly name: string;
  readonly from: number;
  readonly to: number;
}

/** Draw the densities of a refinement; undefined where a run has none. */
export function densitiesChart(
  { densities = [], regret, unit: other }: Pick<Refinement, "densities" | "regret" | "unit">,
  settings: ChartSettings = {},
): Chart | undefined {
  const unit = other ?? "nats";
  const shown = densities.filter(({ density }) => density > 0);
  if (shown.length === 0) return undefined;
  const { theme, widthPx, narrow, option, axis, legend } = chartBase(settings);
  const { places, bands, width } = layOut(shown);
  const extent = extentOf(
    places.flatMap(({ density, sd }) => barEnds(density, sd)),
    0.05,
    true,
  );
  const left = narrow ? 62 : 78;
  const saved =
    regret === undefined ? "" : ` Knowing all of them would save about ${(100 * regret).toPrecision(2)} % of the loss.`;
  return {
    title: "What the probes found",
    description:
      `${unit === "drift" ? "Drift" : "Nats"} that a unit of distortion costs per weight, by tensor class and layer; bars are ` +
      `two standard deviations, filled is what was probed alone.${saved}`,
    widthPx,
    heightPx: 420,
    table: densitiesTable(shown, unit),
    option: {
      ...option,
      legend: { ...legend, top: 4, left: left - 8, itemGap: 16, selectedMode: false },
      grid: { left, right: 16, top: 40, bottom: 96, containLabel: false },
      xAxis: { ...axis, type: "value", min: 0, max: width, show: false },
      yAxis: {
        ...valueAxis(extent, axis, (value) => value.toExponential(0)),
        name: narrow ? "" : `${unit} per weight and unit of D`,
        nameGap: 62,
      },
      series: [
        { ...gridLines(theme), data: logTicks(extent).map((tick) => [0, tick]) },
        deviationBars(places, theme),
        points(
          "probed alone",
          places.filter(({ alone }) => alone),
          theme,
          true,
        ),
        points(
          "inferred",
          places.filter(({ alone }) => !alone),
          theme,
          false,
        ),
        bandNames(bands, extent.min, theme, narrow),
      ],
    },
  };
}

function barEnds(density: number, sd: number): [number, number] {
  const factor = Math.exp(BAR_DEVIATIONS * sd);
  return [density / factor, density * factor];
}

/** Each class in its band, the most sensitive first, its layers in order. */
function layOut(densities: readonly ProbedDensity[]): { places: Place[]; bands: Band[]; width: number } {
  const classes = new Map<string, ProbedDensity[]>();
  for (const one of densities) classes.set(one.class, [...(classes.get(one.class) ?? []), one]);
  const mean = (members: readonly ProbedDensity[]) =>
    members.reduce((sum, { density }) => sum + Math.log(density), 0) / members.length;
  const gap = Math.max(1, GAP_SHARE * densities.length);
  const places: Place[] = [];
  const bands: Band[] = [];
  let from = gap;
  for (const [name, members] of [...classes].sort((a, b) => mean(b[1]) - mean(a[1]))) {
    const sorted = [...members].sort((a, b) => (a.layer ?? 0) - (b.layer ?? 0));
    places.push(...sorted.map((one, index) => ({ ...one, x: from + index })));
    bands.push({ name, from, to: from + sorted.length - 1 });
    from += sorted.length - 1 + 2 * gap;
  }
  return { places, bands, width: from - gap };
}

function points(name: string, places: readonly Place[], theme: ChartTheme, filled: boolean): SeriesOption {
  return {
    type: "scatter",
    name,
    symbolSize: 6,
    z: 4,
    itemStyle: filled ? { color: theme.accent } : { color: theme.surface, borderColor: theme.bytes, borderWidth: 1.5 },
    data: places.map(({ x, density, sd, name: tensor }) => ({
      value: [x, density],
      name: tensor,
      tooltip: {
        formatter: `${showName(tensor, 40)}\n${formatAmount(density)}, known to a factor of ${Math.exp(sd).toFixed(2)}`,
      },
    })),
  };
}

function deviationBars(places: readonly Place[], theme: ChartTheme): SeriesOption {
  const renderItem: RenderItem = (_params, api) => {
    const x = Number(api.value(0));
    const [x1 = 0, y1 = 0] = api.coord([x, Number(api.value(1))]);
    const [, y2 = 0] = api.coord([x, Number(api.value(2))]);
    return { type: "line", shape: { x1, y1, x2: x1, y2 }, style: { stroke: theme.muted, lineWidth: 1, opacity: 0.7 } };
  };
  return {
    type: "custom",
    silent: true,
    z: 3,
    renderItem,
    data: places.map(({ x, density, sd }) => [x, ...barEnds(density, sd)]),
  };
}

/** Names under the bands, aslant: many are long and some bands are one tensor wide. */
function bandNames(bands: readonly Band[], bottom: number, theme: ChartTheme, narrow: boolean): SeriesOption {
  const renderItem: RenderItem = ({ dataIndex }, api) => {
    const band = bands[dataIndex];
    if (band === undefined) return { type: "group", children: [] };
    const [x1 = 0, y = 0] = api.coord([band.from, bottom]);
    const [x2 = 0] = api.coord([band.to, bottom]);
    return {
      type: "group",
      children: [
        {
          type: "line",
          shape: { x1: x1 - 3, y1: y + 5, x2: x2 + 3, y2: y + 5 },
          style: { stroke: theme.muted, lineWidth: 2 },
        },
        {
          type: "text",
          x: (x1 + x2) / 2,
          y: y + 12,
          rotation: Math.PI / 5,
          style: {
            text: showName(band.name, narrow ? 12 : 20),
            align: "right",
            verticalAlign: "middle",
            fill: theme.ink,
            fontSize: 11,
          },
        },
      ],
    };
  };
  return { type: "custom", silent: true, z: 5, clip: false, renderItem, data: bands.map(({ from }) => [from, bottom]) };
}

function densitiesTable(densities: readonly ProbedDensity[], unit: string): Chart["table"] {
  return {
    columns: [
      { header: "tensor" },
      { header: "class" },
      { header: "layer", kind: "number", digits: 0 },
      { header: `${unit} per weight and unit of D`, kind: "number" },
      { header: "sd of its logarithm", kind: "number", digits: 3 },
      { header: "probed" },
    ],
    rows: densities.map(({ name, class: own, layer, density, sd, alone }) => [
      name,
      own,
      layer,
      density,
      sd,
      alone ? "alone" : "inferred",
    ]),
  };
}
