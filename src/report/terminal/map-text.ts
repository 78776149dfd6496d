/** The map of the model in characters: layers across, tensor classes down, a cell for the type of each tensor. */
import { TENSOR_TYPES, type TensorType } from "../../ggml/tensor-types.ts";
import { printable } from "../../plan/printable.ts";
import { arrangeMap, type MapRow, type MapTensor } from "../charts/model-map.ts";
import { showName } from "../charts/table.ts";
import { nominalBits, typeLetters } from "../charts/theme.ts";
import { type Colour, type Paint, plain } from "./paint.ts";
import { wrapWords } from "./wrap-words.ts";

export interface TextPictureOptions {
  /** Default: none. */
  readonly paint?: Paint;
  /** Columns. Default: 80. */
  readonly width?: number;
}

export const DEFAULT_WIDTH = 80;

/** Characters of a class name beside its row. */
const NAME_WIDTH = 16;
/** Layers between two gaps where a cell is one character. */
const GROUP = 10;
/** Rows before the rest is only counted: a stranger's file may have any number of classes. */
const MOST_ROWS = 120;
/** Lines of tensors of no layer. */
const MOST_OTHERS = 12;

/** What a cell holds of a type, and how wide cells are. */
interface Cells {
  readonly width: number;
  /** Layers between gaps; 0: no gaps. */
  readonly group: number;
  mark(type: TensorType): string;
}

/** Render the types of a plan's tensors (`mapTensors`). Ends without a line break; "" where there are none. */
export function renderMapText(tensors: readonly MapTensor[], options: TextPictureOptions = {}): string {
  const { paint = plain, width = DEFAULT_WIDTH } = options;
  const map = arrangeMap(tensors);
  const types = [...new Set(tensors.flatMap(({ type }) => type ?? []))].sort((a, b) => nominalBits(a) - nominalBits(b));
  if (types.length === 0) return "";
  const cells = chooseCells(types, map.layers.length, width - NAME_WIDTH - 1);
  const perBlock = cellsPerBlock(cells, width - NAME_WIDTH - 1);
  const rows = map.rows.slice(0, MOST_ROWS);
  const blocks: string[] = [];
  for (let first = 0; first < map.layers.length; first += perBlock) {
    const layers = map.layers.slice(first, first + perBlock);
    const lines = rows
      .filter((row) => row.cells.slice(first, first + perBlock).some((cell) => cell !== undefined))
      .map((row) => rowLine(row, first, perBlock, cells, paint));
    blocks.push([`${"layer".padEnd(NAME_WIDTH)} ${ruler(layers, cells)}`.trimEnd(), ...lines].join("\n"));
  }
  if (map.rows.length > MOST_ROWS) blocks.push(`and ${map.rows.length - MOST_ROWS} more rows of the map`);
  if (map.others.length > 0) blocks.push(othersLines(map.others, paint));
  return ["MAP of types, layers across", legend(types, cells, paint, width), ...blocks].join("\n");
}

/** The letters of the HTML map where all layers fit beside each other, one character for a layer elsewhere. */
function chooseCells(types: readonly TensorType[], layers: number, width: number): Cells {
  const letters = Math.max(...types.map((type) => typeLetters(type).length));
  const cellWidth = Math.max(2, letters) + 1;
  if (layers * cellWidth <= width) return { width: cellWidth, group: 0, mark: typeLetters };
  return { width: 1, group: GROUP, mark: (type) => TENSOR_TYPES[type].mark ?? "?" };
}

function cellsPerBlock({ width, group }: Cells, columns: number): number {
  if (group === 0) return Math.floor(columns / width);
  return group * Math.max(1, Math.floor((columns + 1) / (group * width + 1)));
}

/** Numbers of the layers: of every one, or of the first of each group. */
function ruler(layers: readonly number[], { width, group }: Cells): string {
  if (group === 0) return layers.map((layer) => clip(layer, width - 1).padEnd(width)).join("");
  return layers
    .filter((_, index) => index % group === 0)
    .map((layer) => clip(layer, group).padEnd(group + 1))
    .join("");
}

/** A number in at most `width` characters: that of a layer in a stranger's file may be any. */
function clip(layer: number, width: number): string {
  const text = String(layer);
  return text.length <= width ? text : "…".padStart(width, text);
}

function rowLine(row: MapRow, first: number, count: number, { width, group, mark }: Cells, paint: Paint): string {
  const cells = row.cells.slice(first, first + count).map((tensor, index) => {
    const gap = group > 0 && index > 0 && index % group === 0 ? " " : "";
    const type = tensor?.type;
    if (type === undefined) return `${gap}${"·".padEnd(width)}`;
    const text = mark(type);
    return `${gap}${paintType(paint, type, text)}${" ".repeat(Math.max(0, width - text.length))}`;
  });
  return `${showName(row.class, NAME_WIDTH).padEnd(NAME_WIDTH)} ${cells.join("").trimEnd()}`;
}

function legend(types: readonly TensorType[], { mark }: Cells, paint: Paint, width: number): string {
  // a mark stays with its type
  const words = types.map((type) => `${mark(type)}\u00a0${type}`).join("  ");
  const lines = wrapWords(words, width).replaceAll("\u00a0", " ").split("\n");
  return lines.map((line) => line.replace(/\S+ (\S+)/g, (entry, type) => paintType(paint, type, entry))).join("\n");
}

function othersLines(others: readonly MapTensor[], paint: Paint): string {
  const lines = others.slice(0, MOST_OTHERS).map(({ class: name, type }) => {
    const label = showName(printable(name), NAME_WIDTH).padEnd(NAME_WIDTH);
    return type === undefined ? label.trimEnd() : `${label} ${paintType(paint, type, type)}`;
  });
  const left = others.length - lines.length;
  return [...lines, ...(left > 0 ? [`and ${left} more of no layer`] : [])].join("\n");
}

/** Few bits are warm, many cool: where colours are seen, in the order of the rainbow. */
const COLOURS: readonly (readonly [bits: number, colour: Colour])[] = [
  [2, "red"],
  [3, "yellow"],
  [4, "green"],
  [5, "cyan"],
  [6, "blue"],
  [8, "magenta"],
];

function paintType(paint: Paint, type: TensorType, text: string): string {
  return paint(COLOURS.find(([most]) => nominalBits(type) <= most)?.[1] ?? "dim", text);
}
