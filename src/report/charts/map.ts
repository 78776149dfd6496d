/** The map of the model as a picture: layers across, tensor classes down, coloured by type or by a measurement. */
import type { SeriesOption } from "echarts";
import { bitsPerWeight, type TensorType } from "../../ggml/tensor-types.ts";
import { type Chart, type ChartSettings, chartBase, type RenderItem } from "./chart.ts";
import {
  arrangeMap,
  layerScale,
  MAP_LAYERS,
  type MapLayer,
  type MapLayerKey,
  type MapTensor,
  type ModelMap,
} from "./model-map.ts";
import { type ChartTable, showName } from "./table.ts";
import { type ChartTheme, isHatched, rampColour, textOn, typeColour, typeLetters } from "./theme.ts";

export interface MapSettings extends ChartSettings {
  /** Default: type. */
  readonly layer?: MapLayerKey;
}

interface Cell {
  readonly column: number;
  readonly row: number;
  readonly tensor: MapTensor;
  readonly colour: string;
  /** What stands in the cell and in the legend. */
  readonly letters: string;
}

const ROW_PX = 22;
/** Pixels of a column below which letters don't fit. */
const LETTERS_PX = 17;

/** Draw the tensors of `mapTensors`. Tensors of no layer have a column of their own. */
export function mapChart(tensors: readonly MapTensor[], settings: MapSettings = {}): Chart {
  const { theme, widthPx, narrow, option, axis, legend } = chartBase(settings);
  const layer = MAP_LAYERS.find(({ key }) => key === (settings.layer ?? "type")) as MapLayer;
  const map = arrangeMap(tensors);
  const cells = cellsOf(map, tensors, layer, theme);
  const names = [...map.rows.map((row) => row.class), ...map.others.map((tensor) => tensor.class)];
  // tensors of no layer stand before the first
  const layers = [...(map.others.length > 0 ? ["–"] : []), ...map.layers.map(String)];
  const grid = { left: narrow ? 104 : 150, right: 12, top: 40, bottom: 40 };
  const heightPx = grid.top + grid.bottom + ROW_PX * Math.max(1, names.length);
  const letters = (widthPx - grid.left - grid.right) / Math.max(1, layers.length) >= LETTERS_PX;
  const types = [...new Set(cells.map(({ tensor }) => tensor.type))]
    .filter((type) => type !== undefined)
    .sort((one, other) => bitsPerWeight(other) - bitsPerWeight(one))
    .map(legendName);
  const groups = layer.key === "type" ? types : [""];
  return {
    title: `The map: ${layer.label}`,
    description: `Layers across, tensor classes down; ${layer.meaning}`,
    widthPx,
    heightPx,
    table: mapTable(tensors, layer),
    option: {
      ...option,
      ...(layer.key === "type" ? {} : { graphic: rampGraphic(layer, tensors, theme, grid.left) }),
      legend: {
        ...legend,
        top: 4,
        left: grid.left - 8,
        itemGap: 14,
        selectedMode: false,
        icon: "roundRect",
        show: layer.key === "type",
      },
      grid,
      xAxis: {
        ...axis,
        type: "category",
        data: layers,
        name: "layer",
        nameLocation: "middle",
        nameGap: 24,
        axisTick: { show: false },
      },
      yAxis: {
        ...axis,
        type: "category",
        inverse: true,
        data: names.map((name) => showName(name, narrow ? 15 : 22)),
        axisTick: { show: false },
        axisLabel: { ...axis.axisLabel, color: theme.ink, interval: 0 },
      },
      series: groups.map((group) =>
        cellSeries(
          cells.filter((cell) => group === "" || cell.letters === group),
          layer,
          letters,
          theme,
        ),
      ),
    },
  };
}

function cellsOf(map: ModelMap, tensors: readonly MapTensor[], layer: MapLayer, theme: ChartTheme): Cell[] {
  const scale = layerScale(layer, tensors);
  const cell = (tensor: MapTensor | undefined, column: number, row: number): Cell[] => {
    if (tensor === undefined) return [];
    if (layer.measure === undefined) {
      const { type } = tensor;
      return type === undefined ? [] : [{ column, row, tensor, colour: typeColour(type), letters: legendName(type) }];
    }
    const value = layer.measure(tensor);
    if (value === undefined || scale === undefined) return [];
    return [{ column, row, tensor, colour: rampColour(theme.ramp, scale.share(value)), letters: layer.show(value) }];
  };
  const first = map.others.length > 0 ? 1 : 0;
  return [
    ...map.rows.flatMap(({ cells }, row) => cells.flatMap((tensor, column) => cell(tensor, first + column, row))),
    ...map.others.flatMap((tensor, index) => cell(tensor, 0, map.rows.length + index)),
  ];
}

/** What a type is called in the legend: its letters in cells first. */
function legendName(type: TensorType): string {
  return `${typeLetters(type)}  ${type}`;
}

function cellSeries(cells: readonly Cell[], layer: MapLayer, letters: boolean, theme: ChartTheme): SeriesOption {
  const renderItem: RenderItem = ({ dataIndex }, api) => {
    const cell = cells[dataIndex];
    const [x = 0, y = 0] = api.coord([api.value(0), api.value(1)]);
    const size = api.size?.([1, 1]) ?? [0, 0];
    const [width = 0, height = 0] = Array.isArray(size) ? size : [size, size];
    if (!cell) return { type: "group", children: [] };
    const [left, top, wide, high] = [x - width / 2 + 0.5, y - height / 2 + 0.5, width - 1, height - 1];
    const ink = textOn(cell.colour);
    const { type } = cell.tensor;
    const byType = layer.measure === undefined && type !== undefined;
    const hatch = byType && isHatched(type) && wide > 4;
    return {
      type: "group",
      children: [
        { type: "rect", shape: { x: left, y: top, width: wide, height: high, r: 2 }, style: { fill: cell.colour } },
        ...(hatch
          ? [
              {
                type: "rect" as const,
                shape: { x: left, y: top + high - 3, width: wide, height: 2 },
                style: { fill: ink, opacity: 0.55 },
              },
            ]
          : []),
        ...(byType && letters
          ? [
              {
                type: "text" as const,
                x,
                y,
                style: {
                  text: typeLetters(type),
                  fill: ink,
                  fontSize: 10.5,
                  align: "center" as const,
                  verticalAlign: "middle" as const,
                },
              },
            ]
          : []),
      ],
    };
  };
  return {
    type: "custom",
    name: layer.key === "type" ? (cells[0]?.letters ?? "") : layer.label,
    itemStyle: { color: cells[0]?.colour ?? theme.muted },
    renderItem,
    data: cells.map(({ column, row, tensor, letters: shown }) => ({
      value: [column, row],
      name: tensor.name,
      tooltip: { formatter: `${showName(tensor.name)}\n${shown}` },
    })),
  };
}

function rampGraphic(layer: MapLayer, tensors: readonly MapTensor[], theme: ChartTheme, left: number) {
  const scale = layerScale(layer, tensors);
  if (scale === undefined) return [];
  const style = { fill: theme.muted, fontSize: 11.5 };
  const colours = theme.ramp.map((color, index) => ({ offset: index / (theme.ramp.length - 1), color }));
  const width = 120;
  const low = `${layer.show(scale.min)}${layer.log ? " (log)" : ""}`;
  return [
    { type: "text" as const, left, top: 12, style: { ...style, text: low } },
    {
      type: "rect" as const,
      left: left + 90,
      top: 11,
      shape: { width, height: 12 },
      style: { fill: { type: "linear" as const, x: 0, y: 0, x2: 1, y2: 0, colorStops: colours } },
    },
    { type: "text" as const, left: left + 90 + width + 10, top: 12, style: { ...style, text: layer.show(scale.max) } },
  ];
}

function mapTable(tensors: readonly MapTensor[], layer: MapLayer): ChartTable {
  const { measure } = layer;
  return {
    columns: [
      { header: "tensor" },
      { header: "class" },
      { header: "layer", kind: "number", digits: 0 },
      measure === undefined ? { header: "type" } : { header: layer.label, kind: "number" },
    ],
    rows: tensors.map((tensor) => [tensor.name, tensor.class, tensor.layer, measure ? measure(tensor) : tensor.type]),
  };
}
