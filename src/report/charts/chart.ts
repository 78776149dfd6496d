/**
 * A picture as data: an echarts option, and the table it was drawn from. Made from documents alone, rendered on the
 * server (render-svg.ts) and live in the page from the same option.
 */
import type { CustomSeriesOption, EChartsOption } from "echarts";
import type { ChartTable } from "./table.ts";
import { type ChartTheme, LIGHT_THEME } from "./theme.ts";

export interface Chart {
  readonly title: string;
  /** What the picture shows, in a sentence. */
  readonly description: string;
  readonly option: EChartsOption;
  readonly table: ChartTable;
  readonly widthPx: number;
  readonly heightPx: number;
}

export interface ChartSettings {
  readonly theme?: ChartTheme;
  readonly widthPx?: number;
}

export type RenderItem = NonNullable<CustomSeriesOption["renderItem"]>;

/** Width a chart is drawn in where nothing else decides. */
export const CHART_WIDTH_PX = 880;

/** Widths below this are a phone's: less room beside the axes. */
export const NARROW_PX = 560;

/** Without quotes: echarts writes it into an attribute as it is. */
export const FONT_FAMILY = "ui-sans-serif, system-ui, -apple-system, Segoe UI, Roboto, Liberation Sans, sans-serif";

/** What all charts have in common. */
export function chartBase({ theme = LIGHT_THEME, widthPx = CHART_WIDTH_PX }: ChartSettings) {
  const text = { color: theme.ink, fontFamily: FONT_FAMILY, fontSize: 12 };
  return {
    theme,
    widthPx,
    narrow: widthPx < NARROW_PX,
    option: {
      animation: false,
      backgroundColor: "transparent",
      textStyle: text,
      tooltip: {
        renderMode: "richText",
        confine: true,
        backgroundColor: theme.surface,
        borderColor: theme.line,
        textStyle: { ...text, fontSize: 12, lineHeight: 17 },
        transitionDuration: 0,
      },
    } satisfies EChartsOption,
    axis: {
      axisLine: { lineStyle: { color: theme.muted } },
      axisTick: { lineStyle: { color: theme.muted } },
      axisLabel: { color: theme.muted, fontSize: 11.5 },
      nameTextStyle: { color: theme.muted, fontSize: 12 },
      splitLine: { lineStyle: { color: theme.line, opacity: 0.7 } },
    },
    legend: { textStyle: { color: theme.ink, fontSize: 12 }, itemWidth: LEGEND_MARK_PX, itemHeight: LEGEND_MARK_PX },
  };
}

const LEGEND_MARK_PX = 12;
/** Of a line of a legend, between two names, between a mark and its name, and of a character of 12 px. */
const LEGEND_LINE_PX = 28;
const LEGEND_GAP_PX = 16;
const MARK_GAP_PX = 5;
const CHARACTER_PX = 6.1;

/** Pixels that a legend of these names takes in a picture, in as many lines as it needs. */
export function legendHeight(names: readonly string[], widthPx: number): number {
  let lines = 1;
  let at = 0;
  for (const name of names) {
    const width = LEGEND_MARK_PX + MARK_GAP_PX + name.length * CHARACTER_PX;
    if (at > 0 && at + width > widthPx) {
      lines++;
      at = 0;
    }
    at += width + LEGEND_GAP_PX;
  }
  return lines * LEGEND_LINE_PX;
}
