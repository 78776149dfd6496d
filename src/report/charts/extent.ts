/** The range of an axis, linear or logarithmic, with room around the values, and round numbers on it. */
import type { RenderItem } from "./chart.ts";
import type { ChartTheme } from "./theme.ts";

export interface Extent {
  readonly min: number;
  readonly max: number;
  readonly log: boolean;
}

/** Span values with room at both ends: a share of their range. */
export function extentOf(values: readonly number[], share: number, log: boolean): Extent {
  const scaled = log ? values.map(Math.log) : values;
  const [low, high] = [Math.min(...scaled), Math.max(...scaled)];
  const room = share * (high - low || (log ? 1 : Math.abs(high) || 1));
  const back = log ? Math.exp : (value: number) => value;
  return { min: back(low - room), max: back(high + room), log };
}

/** Pixel of a value on an axis that goes from `from` to `to`. */
export function pixelOf(value: number, { min, max, log }: Extent, from: number, to: number): number {
  const scale = log ? Math.log : (number: number) => number;
  return from + ((scale(value) - scale(min)) / (scale(max) - scale(min))) * (to - from);
}

/** Steps within a decade, coarsest first. */
const STEPS: readonly (readonly number[])[] = [
  [1],
  [1, 3],
  [1, 2, 5],
  [1, 1.5, 2, 3, 5, 7],
  [1, 1.2, 1.4, 1.6, 1.8, 2, 2.5, 3, 3.5, 4, 5, 6, 7, 8, 9],
];
/** What an axis should have at least. */
const FEWEST_TICKS = 4;

/** Round numbers within a logarithmic extent: echarts marks powers of ten only, of which a run may span none. */
export function logTicks({ min, max }: Extent): number[] {
  let ticks: number[] = [];
  for (const steps of STEPS) {
    ticks = [];
    for (let exponent = Math.floor(Math.log10(min)); exponent <= Math.log10(max); exponent++) {
      for (const step of steps) {
        const tick = Number(`${step}e${exponent}`);
        if (tick >= min && tick <= max) ticks.push(tick);
      }
    }
    if (ticks.length >= FEWEST_TICKS) break;
  }
  return ticks;
}

/** What an axis of this extent looks like: `base` is what all axes share. */
export function valueAxis(extent: Extent, base: object, format: (value: number) => string) {
  const { min, max, log } = extent;
  const custom = log ? { customValues: logTicks(extent) } : {};
  const { axisLabel = {}, axisTick = {} } = base as { axisLabel?: object; axisTick?: object };
  return {
    ...base,
    type: log ? ("log" as const) : ("value" as const),
    min,
    max,
    nameLocation: "middle" as const,
    splitLine: { show: false },
    axisTick: { ...axisTick, ...custom },
    axisLabel: {
      ...axisLabel,
      ...custom,
      formatter: format,
      hideOverlap: true,
      // the ends of the range are no round numbers
      ...(log ? {} : { showMinLabel: false, showMaxLabel: false }),
    },
  };
}

/** A number of an axis: three significant digits at most. */
export function formatTick(value: number): string {
  return String(Number(value.toPrecision(3)));
}

/** Lines across the picture at [any x, tick] of its data: echarts has none at ticks of one's own. */
export function gridLines(theme: ChartTheme) {
  const renderItem: RenderItem = ({ coordSys }, api) => {
    const { x = 0, width = 0 } = coordSys as { x?: number; width?: number };
    const [, y = 0] = api.coord([Number(api.value(0)), Number(api.value(1))]);
    return {
      type: "line",
      shape: { x1: x, y1: y, x2: x + width, y2: y },
      style: { stroke: theme.line, lineWidth: 1, opacity: 0.7 },
    };
  };
  return { type: "custom" as const, silent: true, z: 1, renderItem };
}
