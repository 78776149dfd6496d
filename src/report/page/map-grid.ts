/**
 * The map as a grid of cells: one tab stop, arrow keys within (ARIA's grid pattern), a letter or a number in every cell
 * so that colour is never alone. Cells are made once; a new plan or another layer only repaints them.
 */
import { bitsPerWeight } from "../../ggml/tensor-types.ts";
import { arrangeMap, availableLayers, layerScale, type MapLayer, type MapTensor } from "../charts/model-map.ts";
import { showName } from "../charts/table.ts";
import { type ChartTheme, isHatched, rampColour, textOn, typeColour, typeLetters } from "../charts/theme.ts";
import { html, type Markup } from "../html/markup.ts";
import { byId, fill } from "./dom.ts";

export interface MapState {
  readonly tensors: readonly MapTensor[];
  /** Names of tensors that differ from the opened plan. */
  readonly changed: ReadonlySet<string>;
  readonly pinned: ReadonlySet<string>;
}

export interface MapGrid {
  show(state: MapState): void;
  repaint(): void;
}

interface Cell {
  readonly element: HTMLElement;
  readonly name: string;
  readonly row: number;
  readonly column: number;
}

/** Characters of a class beside its row. */
const CLASS_CHARACTERS = 22;

/** Build the grid of these tensors. `onPoint`: a cell is pointed at or has the focus; `onChoose`: Enter or a click. */
export function mountMap(
  tensors: readonly MapTensor[],
  theme: () => ChartTheme,
  onPoint: (name: string) => void,
  onChoose: (name: string, byKey: boolean) => void,
): MapGrid {
  const grid = byId("map-grid");
  fill(grid, renderGrid(tensors));
  const cells = [...grid.querySelectorAll<HTMLElement>("[data-cell]")].map((element): Cell => {
    const { cell = "", row = "0", column = "0" } = element.dataset;
    return { element, name: tensors[Number(cell)]?.name ?? "", row: Number(row), column: Number(column) };
  });
  const cellOf = new Map(cells.map((cell) => [cell.element as Element, cell]));
  moveByKeys(grid, cells, cellOf);
  const named = (event: Event) =>
    event.target instanceof Element ? cellOf.get(event.target.closest("[data-cell]") as Element)?.name : undefined;
  for (const kind of ["pointerover", "focusin"]) {
    grid.addEventListener(kind, (event) => {
      const name = named(event);
      if (name !== undefined) onPoint(name);
    });
  }
  grid.addEventListener("click", (event) => {
    const name = named(event);
    if (name !== undefined) onChoose(name, false);
  });
  grid.addEventListener("keydown", (event) => {
    const name = named(event);
    if (name === undefined || (event.key !== "Enter" && event.key !== " ")) return;
    event.preventDefault();
    onChoose(name, true);
  });
  const select = byId<HTMLSelectElement>("map-layer");
  const layers = availableLayers(tensors);
  fill(select, html`${layers.map(({ key, label }) => html`<option value="${key}">${label}</option>`)}`);
  let state: MapState = { tensors, changed: new Set(), pinned: new Set() };
  const repaint = () => {
    const layer = layers.find(({ key }) => key === select.value) ?? layers[0];
    if (layer !== undefined) paint(cells, state, layer, theme());
  };
  select.addEventListener("change", repaint);
  const show = (next: MapState) => {
    state = next;
    repaint();
  };
  return { show, repaint };
}

function renderGrid(tensors: readonly MapTensor[]): Markup {
  const { layers, rows, others } = arrangeMap(tensors);
  // by number: markup would change some characters of a name
  const numbers = new Map(tensors.map((tensor, index) => [tensor, index]));
  const first = others.length > 0 ? 1 : 0;
  const heads = [...(first ? ["–"] : []), ...layers.map(String)];
  const all = [
    ...rows.map((row) => ({ class: row.class, cells: [...(first ? [undefined] : []), ...row.cells] })),
    ...others.map((tensor) => ({ class: tensor.class, cells: [tensor, ...layers.map(() => undefined)] })),
  ];
  const cell = (tensor: MapTensor | undefined, row: number, column: number) =>
    tensor === undefined
      ? html`<td role="gridcell"></td>`
      : html`<td role="gridcell" tabindex="-1" data-cell="${numbers.get(tensor) ?? 0}" data-row="${row}" data-column="${column}"></td>`;
  return html`<thead><tr><th scope="col"><span class="corner">layer</span></th>${heads.map((head) => html`<th scope="col">${head}</th>`)}</tr></thead>
<tbody>${all.map((row, index) => html`<tr><th scope="row" class="name">${showName(row.class, CLASS_CHARACTERS)}</th>${row.cells.map((tensor, column) => cell(tensor, index, column))}</tr>`)}</tbody>`;
}

function moveByKeys(grid: HTMLElement, cells: readonly Cell[], cellOf: ReadonlyMap<Element, Cell>): void {
  const [start] = cells;
  start?.element.setAttribute("tabindex", "0");
  let current = start;
  const go = (target: Cell | undefined) => {
    if (target === undefined) return;
    current?.element.setAttribute("tabindex", "-1");
    current = target;
    current.element.setAttribute("tabindex", "0");
    current.element.focus();
  };
  grid.addEventListener("focusin", (event) => {
    const cell = cellOf.get(event.target as Element);
    if (cell === undefined || cell === current) return;
    current?.element.setAttribute("tabindex", "-1");
    current = cell;
    cell.element.setAttribute("tabindex", "0");
  });
  grid.addEventListener("keydown", (event) => {
    if (current === undefined || event.ctrlKey || event.altKey || event.metaKey) return;
    const target = neighbour(cells, current, event.key);
    if (target === undefined) return;
    event.preventDefault();
    go(target);
  });
}

/** Where a key leads: the nearest cell in its direction, over gaps. */
function neighbour(cells: readonly Cell[], { row, column }: Cell, key: string): Cell | undefined {
  const inRow = cells.filter((cell) => cell.row === row);
  const nearest = (a: Cell, b: Cell) => Math.abs(a.column - column) - Math.abs(b.column - column);
  const rowBy = (step: 1 | -1) => {
    const rows = cells.filter((cell) => (cell.row - row) * step > 0);
    const next = step > 0 ? Math.min(...rows.map((cell) => cell.row)) : Math.max(...rows.map((cell) => cell.row));
    return rows.filter((cell) => cell.row === next).sort(nearest)[0];
  };
  if (key === "ArrowRight") return inRow.find((cell) => cell.column > column);
  if (key === "ArrowLeft") return inRow.findLast((cell) => cell.column < column);
  if (key === "ArrowDown") return rowBy(1);
  if (key === "ArrowUp") return rowBy(-1);
  if (key === "Home") return inRow[0];
  if (key === "End") return inRow.at(-1);
  return undefined;
}

function paint(cells: readonly Cell[], state: MapState, layer: MapLayer, theme: ChartTheme): void {
  const tensors = new Map(state.tensors.map((tensor) => [tensor.name, tensor]));
  const scale = layerScale(layer, state.tensors);
  for (const { element, name } of cells) {
    const tensor = tensors.get(name);
    if (tensor === undefined) continue;
    const value = layer.measure?.(tensor);
    const known = value !== undefined && scale !== undefined;
    const byType = layer.measure === undefined && tensor.type !== undefined;
    const colour = byType ? typeColour(tensor.type) : known ? rampColour(theme.ramp, scale.share(value)) : "";
    element.style.backgroundColor = colour;
    element.style.color = colour === "" ? "" : textOn(colour);
    const text = byType ? typeLetters(tensor.type) : known ? compact(value) : "–";
    element.textContent = text;
    element.classList.toggle("hatched", byType && isHatched(tensor.type));
    element.classList.toggle("changed", state.changed.has(name));
    element.classList.toggle("pinned", state.pinned.has(name));
    const marks = [...(state.changed.has(name) ? ["changed"] : []), ...(state.pinned.has(name) ? ["pinned"] : [])];
    const shown = byType ? tensor.type : known ? `${layer.label} ${layer.show(value)}` : `no ${layer.label}`;
    element.setAttribute("aria-label", [text, showName(name), shown, ...marks].join(" "));
  }
  byId("map-meaning").textContent = layer.meaning;
  fill(byId("map-legend"), layer.measure === undefined ? typeLegend(state.tensors) : rampLegend(layer, state, theme));
}

/** Two significant digits in as few characters as that takes. */
function compact(value: number): string {
  const magnitude = Math.abs(value);
  if (value === 0) return "0";
  if (magnitude >= 1000 || magnitude < 0.001) return value.toExponential(0).replace("e+", "e");
  if (magnitude >= 100) return value.toFixed(0);
  return Number(value.toPrecision(2))
    .toString()
    .replace(/^(-?)0\./, "$1.");
}

function typeLegend(tensors: readonly MapTensor[]): Markup {
  const counts = new Map<NonNullable<MapTensor["type"]>, number>();
  for (const { type } of tensors) if (type !== undefined) counts.set(type, (counts.get(type) ?? 0) + 1);
  const entries = [...counts]
    .sort(([one], [other]) => bitsPerWeight(other) - bitsPerWeight(one))
    .map(([type, count]) => {
      const colour = typeColour(type);
      const style = `background-color:${colour};color:${textOn(colour)}`;
      return html`<span><i class="swatch${isHatched(type) ? " hatched" : ""}" style="${style}">${typeLetters(type)}</i> ${type} <span class="muted">× ${count}</span></span>`;
    });
  return html`${entries}`;
}

function rampLegend(layer: MapLayer, { tensors }: MapState, { ramp }: ChartTheme): Markup {
  const scale = layerScale(layer, tensors);
  if (scale === undefined) return html``;
  const style = `background:linear-gradient(to right,${ramp.join(",")})`;
  return html`<span>${layer.show(scale.min)}</span><i class="ramp" style="${style}"></i><span>${layer.show(scale.max)}${layer.log ? ", logarithmic" : ""}</span>`;
}
