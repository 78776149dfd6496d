/** The program of a report page: reads the data the page holds, draws the charts and the map, and plans anew. */

import type { Plan } from "../../plan/plan.ts";
import { serializePlan } from "../../plan/serialize-plan.ts";
import { mapChart } from "../charts/map.ts";
import { type MapTensor, planTensors } from "../charts/model-map.ts";
import { CHARTS, type ChartSource } from "../charts/registry.ts";
import { type ChartTable, tableCsv } from "../charts/table.ts";
import { renderHeading } from "../html/heading.ts";
import { html, type Markup } from "../html/markup.ts";
import type { ReportData } from "../html/report-data.ts";
import { renderTable } from "../html/tables.ts";
import { byId, download, fill, onPress } from "./dom.ts";
import { renderExplanation, renderMeasured } from "./explain.ts";
import { type Figure, mountFigure } from "./figures.ts";
import { type MapGrid, mountMap } from "./map-grid.ts";
import { addPin, pinnedNames } from "./pins.ts";
import { downloadRecipe, mountRecipe } from "./recipe.ts";
import { mountSave } from "./save.ts";
import { followScroll } from "./scroll-hint.ts";
import { followTheme } from "./theme.ts";
import { changedTensors, mountWhatIf } from "./what-if.ts";

const data = JSON.parse(byId("report-data").textContent ?? "") as ReportData;
const metrics = new Map(data.metrics);
const figures: Figure[] = [];
let grid: MapGrid | undefined;
const theme = followTheme(() => {
  for (const figure of figures) figure.redraw();
  grid?.repaint();
});

followScroll();

const { plan: opened, run, tensors } = data;
// what the slider and the pins made of it
let replanned = opened;
let metric: string | undefined;
const liveFigures = mountCharts(
  () => ({ run, plan: replanned }),
  (id) => (id === "pareto" ? metric : undefined),
);
for (const input of document.querySelectorAll<HTMLInputElement>('input[name="pareto-metric"]')) {
  input.addEventListener("change", () => {
    metric = input.value;
    for (const figure of figures) figure.redraw();
  });
}
if (opened !== undefined) mountPlan(opened);
else if (tensors !== undefined) mountAnalysis(tensors);

/** Bring the pictures to life that the page has; returns those that follow a plan made here. */
function mountCharts(source: () => ChartSource, variantOf: (id: string) => string | undefined): Figure[] {
  return CHARTS.flatMap(({ id, live = false, draw }) => {
    const drawn = () => (live ? source() : { ...source(), plan: opened });
    const figure = mountFigure(id, theme, (settings) => draw(drawn(), settings, variantOf(id)));
    if (figure === undefined) return [];
    figures.push(figure);
    return live ? [figure] : [];
  });
}

function mountAnalysis(measured: readonly MapTensor[]): void {
  const explain = (name: string) => {
    const tensor = measured.find((candidate) => candidate.name === name);
    if (tensor !== undefined) fill(byId("explain"), renderMeasured(tensor));
  };
  grid = mountMap(measured, theme, explain, explain);
  grid.repaint();
  if (measured[0] !== undefined) explain(measured[0].name);
  mountTensorTable(() => mapChart(measured, { layer: "distortion" }).table);
}

function mountPlan(first: Plan): void {
  let plan = first;
  let shown = planTensors(plan, metrics);
  let at = [...shown].sort((a, b) => (b.lossShare ?? 0) - (a.lossShare ?? 0))[0]?.name ?? "";
  const explain = (name: string) => {
    const tensor = shown.find((candidate) => candidate.name === name);
    if (tensor === undefined) return;
    at = name;
    fill(byId("explain"), renderExplanation(plan, tensor, true));
  };
  grid = mountMap(shown, theme, explain, (name, byKey) => {
    explain(name);
    if (byKey) byId("pin-type").focus();
    else if (!isBeside(byId("explain"))) byId("explain").scrollIntoView({ block: "nearest" });
  });
  const recipe = mountRecipe(first);
  const tensorTable = mountTensorTable(() => tableOf(plan));
  const changeTable = fillWhenOpen("changes", "change-table", () => {
    const { table, names } = changedTensors(first, plan);
    return renderTable(table, `Changed tensors: ${names.size}`);
  });
  const firstHeading = { html: headingElement().outerHTML };
  const atRest = whenAtRest(() => {
    for (const figure of liveFigures) figure.redraw();
    recipe.show(plan, plan !== first);
  });
  const whatIf = mountWhatIf(first, (next) => {
    plan = next;
    replanned = next;
    shown = planTensors(plan, metrics);
    const changes = changedTensors(first, plan);
    grid?.show({ tensors: shown, changed: changes.names, pinned: pinnedNames(plan) });
    explain(at);
    byId("changes").hidden = changes.names.size === 0;
    // with a run it tells what was measured, which no plan made here was
    if (run === undefined) replaceHeading(plan === first ? firstHeading : renderHeading({ plan }));
    changeTable();
    tensorTable();
    atRest();
  });
  onPress(byId("explain"), "pin", (what) => {
    const type = byId<HTMLSelectElement>("pin-type").value as Plan["tensors"][number]["type"];
    whatIf.constrain(addPin(whatIf.constraints(), plan, at, type, what === "class"));
    byId("explain").querySelector<HTMLElement>(`[data-pin="${what}"]`)?.focus();
  });
  mountSave(whatIf.plan, data.review);
  onPress(byId("what-if"), "export", (file) => {
    if (file === "plan.json") download(file, serializePlan(plan), "application/json");
    else downloadRecipe(plan, "recipe.sh");
  });
}

function headingElement(): HTMLElement {
  return document.querySelector(".heading") as HTMLElement;
}

function replaceHeading(heading: Markup): void {
  headingElement().outerHTML = heading.html;
}

/** Whether the panel stands beside the map: below it, it must come into view. */
function isBeside(panel: HTMLElement): boolean {
  return panel.getBoundingClientRect().top < byId("map-grid").getBoundingClientRect().bottom;
}

function tableOf({ tensors: all }: Plan): ChartTable {
  return {
    columns: [
      { header: "tensor" },
      { header: "class" },
      { header: "layer", kind: "number", digits: 0 },
      { header: "type" },
      { header: "reason" },
      { header: "bytes", kind: "bytes" },
      { header: "distortion", kind: "number" },
      { header: "loss %", kind: "percent", digits: 2 },
    ],
    rows: all.map((tensor) => [
      tensor.name,
      tensor.class,
      tensor.layer,
      tensor.type,
      tensor.reason,
      tensor.bytes,
      tensor.distortion,
      tensor.lossShare,
    ]),
  };
}

/** The table behind the map. Returns what to call when its content changed. */
function mountTensorTable(table: () => ChartTable): () => void {
  onPress(byId("tensor-details"), "export", (file) => download(file, tableCsv(table()), "text/csv"));
  return fillWhenOpen("tensor-details", "tensor-table", () => renderTable(table(), "All tensors"));
}

/** Render a long table only while its details are open. Returns what to call when its content changed. */
function fillWhenOpen(detailsId: string, tableId: string, render: () => Markup): () => void {
  const details = byId<HTMLDetailsElement>(detailsId);
  const update = () => fill(byId(tableId), details.open ? render() : html``);
  details.addEventListener("toggle", update);
  return update;
}

/** Milliseconds a plan must stand before its chart and recipe are made: a slider makes many plans. */
const REST_MS = 120;

function whenAtRest(work: () => void): () => void {
  let timer: ReturnType<typeof setTimeout> | undefined;
  return () => {
    clearTimeout(timer);
    timer = setTimeout(work, REST_MS);
  };
}
