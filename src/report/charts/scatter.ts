/** Measured rows as points with error bars, a shape per kind, and labels that keep out of each other's way. */
import type { ScatterSeriesOption, SeriesOption } from "echarts";
import type { RowKind } from "../../run/run-document.ts";
import type { RenderItem } from "./chart.ts";
import { type Extent, pixelOf } from "./extent.ts";
import { type LabelArea, placeLabels } from "./label-places.ts";
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
  plan: "the plan",
  feedback: "the plan for error feedback",
  preset: "stock presets",
  plain: "presets without imatrix",
  published: "types of others",
  rival: "files of others",
  uniform: "one type for all",
  "uniform-s": "s = elements",
  unguarded: "no head guard",
  shuffle: "shuffled sensitivity",
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

/** Characters of a label in the picture. */
const LABEL_CHARACTERS = 28;
/** Standard errors an error bar spans to each side. */
const BAR_STANDARD_ERRORS = 2;

/** The end of an error bar, kept above 0 where the axis is logarithmic. */
export function barEnds({ y, se = 0 }: Pick<ScatterPoint, "y" | "se">, log: boolean): [number, number] {
  const low = y - BAR_STANDARD_ERRORS * se;
  return [log ? Math.max(low, y / 10) : low, y + BAR_STANDARD_ERRORS * se];
}

/** One series per kind, in a fixed order, so that the legend is the same everywhere. */
export function pointSeries(points: readonly ScatterPoint[], theme: ChartTheme): ScatterSeriesOption[] {
  const kinds = (Object.keys(KIND_NAMES) as RowKind[]).filter((kind) => points.some((point) => point.kind === kind));
  return kinds.map((kind) => ({
    type: "scatter",
    name: KIND_NAMES[kind],
    symbol: SYMBOLS[kind],
    symbolSize: SIZES[kind],
    z: kind === "plan" ? 5 : 4,
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

/** Labels with a thin line to their point where they had to move. */
export function labelSeries(
  points: readonly ScatterPoint[],
  xExtent: Extent,
  yExtent: Extent,
  area: LabelArea,
  theme: ChartTheme,
): SeriesOption {
  const order = [...points].sort((a, b) => Number(b.kind === "plan") - Number(a.kind === "plan"));
  const shown = order.map((point) => ({ ...point, text: showName(point.label, LABEL_CHARACTERS) }));
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
  return { type: "custom", silent: true, z: 6, renderItem, data: shown.map(({ x, y }) => [x, y]) };
}
