/** Measured rows as points with error bars, a shape per kind, and labels that keep out of each other's way. */
import type { ScatterSeriesOption, SeriesOption } from "echarts";
import type { RowKind } from "../../run/run-document.ts";
import { shownLabel } from "../../run/shown-label.ts";
import { legendHeight, NARROW_PX, type RenderItem } from "./chart.ts";
import { type Extent, pixelOf } from "./extent.ts";
import { boxOf, type LabelArea, placeLabels } from "./label-places.ts";
import { showName } from "./table.ts";
import type { ChartTheme } from "./theme.ts";

export interface ScatterPoint {
  readonly label: string;
  readonly kind: RowKind;
  readonly x: number;
  readonly y: number;
  /** One standard error of y. */
  readonly se?: number;
  /** On the front: none is at once smaller and better. */
  readonly survives: boolean;
  /** Lines of the tooltip. */
  readonly lines: readonly string[];
}

export const KIND_NAMES: Readonly<Record<RowKind, string>> = {
  plan: "plan",
  feedback: "plan + feedback",
  preset: "stock presets",
  plain: "presets, no imatrix",
  published: "types of others",
  rival: "files of others",
  uniform: "one type for all",
  "uniform-s": "no sensitivity",
  unguarded: "no head guard",
  shuffle: "shuffled plans",
  reference: "reference",
};

const SYMBOLS: Readonly<Record<RowKind, string>> = {
  plan: "circle",
  feedback: "circle",
  preset: "rect",
  plain: "rect",
  published: "pin",
  // a cross that stands upright
  rival: "path://M3 0H7V3H10V7H7V10H3V7H0V3H3Z",
  uniform: "triangle",
  "uniform-s": "diamond",
  // a triangle that stands on its tip
  unguarded: "path://M0 0L10 0L5 9Z",
  shuffle: "circle",
  reference: "circle",
};

const SIZES: Readonly<Record<RowKind, number>> = {
  plan: 15,
  feedback: 13,
  preset: 11,
  plain: 8,
  published: 14,
  rival: 13,
  uniform: 12,
  "uniform-s": 14,
  unguarded: 13,
  shuffle: 9,
  reference: 10,
};

const LARGEST = Math.max(...Object.values(SIZES));
/** Marks lie over lines and error bars. */
const MARKS_Z = 4;
/** Over the front, under error bars. */
const GROUNDS_Z = 2.5;

/** Characters of a label in the picture. */
const LABEL_CHARACTERS = 28;
/** Standard errors an error bar spans to each side. */
const BAR_STANDARD_ERRORS = 2;

/** The end of an error bar, kept above 0 where the axis is logarithmic. */
export function barEnds({ y, se = 0 }: Pick<ScatterPoint, "y" | "se">, log: boolean): [number, number] {
  const low = y - BAR_STANDARD_ERRORS * se;
  return [log ? Math.max(low, y / 10) : low, y + BAR_STANDARD_ERRORS * se];
}

/**
 * Where the points go in a picture this wide: under as many lines as the legend takes. `plotPx` is the height without the
 * legend.
 */
export function scatterFrame(
  points: readonly ScatterPoint[],
  widthPx: number,
  plotPx: number,
): { grid: { left: number; right: number; top: number; bottom: number }; area: LabelArea; heightPx: number } {
  const narrow = widthPx < NARROW_PX;
  const [left, right, bottom] = narrow ? [56, 14, 48] : [72, 24, 48];
  const legendPx = legendHeight(
    kindsOf(points).map((kind) => KIND_NAMES[kind]),
    widthPx - left,
  );
  const top = legendPx + 16;
  const heightPx = plotPx + legendPx;
  const area = { left, right: widthPx - right, top: top + 8, bottom: heightPx - bottom - 8 };
  return { grid: { left, right, top, bottom }, area, heightPx };
}

function kindsOf(points: readonly ScatterPoint[]): RowKind[] {
  return (Object.keys(KIND_NAMES) as RowKind[]).filter((kind) => points.some((point) => point.kind === kind));
}

/** One series per kind, in a fixed order, so that the legend is the same everywhere. */
export function pointSeries(points: readonly ScatterPoint[], theme: ChartTheme): ScatterSeriesOption[] {
  return kindsOf(points).map((kind) => ({
    type: "scatter",
    name: KIND_NAMES[kind],
    symbol: SYMBOLS[kind],
    symbolSize: SIZES[kind],
    // of marks on one place the smaller is on top: each shows a rim of its own
    z: MARKS_Z + 1 - SIZES[kind] / LARGEST,
    // hollow, so that it differs from the plan in more than colour
    itemStyle:
      kind === "shuffle"
        ? { color: theme.surface, borderColor: theme.kinds.shuffle, borderWidth: 2 }
        : { color: theme.kinds[kind], borderColor: theme.surface, borderWidth: 1.5 },
    data: points
      .filter((point) => point.kind === kind)
      .map(({ x, y, label, lines }) => ({
        value: [x, y],
        name: label,
        tooltip: { formatter: [showName(label, LABEL_CHARACTERS), ...lines].join("\n") },
      })),
  }));
}

/** Error bars of two standard errors. */
export function errorBars(points: readonly ScatterPoint[], theme: ChartTheme, log: boolean): SeriesOption {
  const measured = points.filter(({ se }) => se !== undefined && se > 0);
  const renderItem: RenderItem = (_params, api) => {
    const x = Number(api.value(0));
    const [lowX = 0, lowY = 0] = api.coord([x, Number(api.value(1))]);
    const [, highY = 0] = api.coord([x, Number(api.value(2))]);
    const stroke = String(api.value(3));
    const line = (x1: number, y1: number, x2: number, y2: number) =>
      ({ type: "line", shape: { x1, y1, x2, y2 }, style: { stroke, lineWidth: 1.5, opacity: 0.75 } }) as const;
    return {
      type: "group",
      children: [
        line(lowX, lowY, lowX, highY),
        line(lowX - 4, lowY, lowX + 4, lowY),
        line(lowX - 4, highY, lowX + 4, highY),
      ],
    };
  };
  return {
    type: "custom",
    silent: true,
    z: 3,
    renderItem,
    data: measured.map((point) => [point.x, ...barEnds(point, log), theme.kinds[point.kind]]),
  };
}

/** Labels with a thin line to their point where they had to move, and under each a ground that no line crosses. */
export function labelSeries(
  points: readonly ScatterPoint[],
  xExtent: Extent,
  yExtent: Extent,
  area: LabelArea,
  theme: ChartTheme,
): SeriesOption[] {
  const order = [...points].sort((a, b) => Number(b.kind === "plan") - Number(a.kind === "plan"));
  const shown = order.map((point) => ({ ...point, text: showName(shownLabel(point.label), LABEL_CHARACTERS) }));
  const pixels = shown.map(({ x, y, text }) => ({
    text,
    x: pixelOf(x, xExtent, area.left, area.right),
    y: pixelOf(y, yExtent, area.bottom, area.top),
  }));
  const places = placeLabels(pixels, area);
  const renderItem: RenderItem = ({ dataIndex }) => {
    const [point, pixel, place] = [shown[dataIndex], pixels[dataIndex], places[dataIndex]];
    if (!point || !pixel || !place) return { type: "group", children: [] };
    const side = place.align === "left" ? -1 : 1;
    const moved = place.y !== pixel.y;
    const leader = {
      type: "line",
      shape: { x1: pixel.x - side * 6, y1: pixel.y, x2: place.x + side * 3, y2: place.y },
      style: { stroke: theme.muted, lineWidth: 0.8, opacity: 0.7 },
    } as const;
    const text = {
      type: "text",
      x: place.x,
      y: place.y,
      style: {
        text: pixel.text,
        align: place.align,
        verticalAlign: "middle",
        fill: point.kind === "plan" ? theme.accent : theme.ink,
        fontSize: 12,
        fontWeight: point.survives ? 700 : 400,
        // lines don't cross the letters
        stroke: theme.surface,
        lineWidth: 3,
      },
    } as const;
    return { type: "group", children: moved ? [leader, text] : [text] };
  };
  const data = shown.map(({ x, y }) => [x, y]);
  const renderGround: RenderItem = ({ dataIndex }) => {
    const [pixel, place] = [pixels[dataIndex], places[dataIndex]];
    if (!pixel || !place) return { type: "group", children: [] };
    const { left, right, top, bottom } = boxOf(pixel, place);
    const shape = { x: left - 2, y: top + 1, width: right - left + 4, height: bottom - top - 2 };
    return { type: "rect", shape, style: { fill: theme.surface } };
  };
  return [
    { type: "custom", silent: true, z: GROUNDS_Z, renderItem: renderGround, data },
    { type: "custom", silent: true, z: 6, renderItem, data },
  ];
}
