/** Live charts in the place of the drawn ones, with their table and their files. */
import type { EChartsType } from "echarts/core";
import type { Chart, ChartSettings } from "../charts/chart.ts";
import { init } from "../charts/echarts-parts.ts";
import { tableCsv } from "../charts/table.ts";
import type { ChartTheme } from "../charts/theme.ts";
import { renderTable } from "../html/tables.ts";
import { download, fill, onPress } from "./dom.ts";

export interface Figure {
  /** Draw again: another theme, width or plan. */
  redraw(): void;
}

/** Pixels a picture is wide on paper. */
const PRINT_WIDTH_PX = 680;
/** A PNG has this many pixels for one of the picture. */
const PNG_SCALE = 2;

/** Bring a figure of the page to life; undefined where the page has none of this key. */
export function mountFigure(
  key: string,
  theme: () => ChartTheme,
  build: (settings: ChartSettings) => Chart | undefined,
): Figure | undefined {
  const figure = document.querySelector<HTMLElement>(`figure[data-chart="${key}"]`);
  const picture = figure?.querySelector<HTMLElement>(".picture");
  if (!figure || !picture) return undefined;
  let instance: EChartsType | undefined;
  let chart: Chart | undefined;
  const redraw = () => {
    const widthPx = matchMedia("print").matches ? PRINT_WIDTH_PX : Math.floor(picture.clientWidth);
    chart = build({ theme: theme(), widthPx });
    if (chart === undefined || widthPx <= 0) return;
    instance ??= start(picture);
    instance.resize({ width: widthPx, height: chart.heightPx });
    instance.setOption(chart.option, { notMerge: true });
    picture.setAttribute("aria-label", `${chart.title}: ${chart.description}`);
    const data = figure.querySelector<HTMLElement>(".data");
    if (data !== null) fill(data, renderTable(chart.table, chart.title));
    const caption = figure.querySelector("figcaption");
    if (caption !== null) caption.textContent = chart.description;
  };
  let width = picture.clientWidth;
  new ResizeObserver(() => {
    if (picture.clientWidth === width) return;
    width = picture.clientWidth;
    redraw();
  }).observe(picture);
  onPress(figure, "save", (format) => {
    if (chart === undefined || instance === undefined) return;
    if (format === "csv") download(`${key}.csv`, tableCsv(chart.table), "text/csv");
    else if (format === "svg") download(`${key}.svg`, instance.renderToSVGString(), "image/svg+xml");
    else savePng(key, instance.renderToSVGString(), chart, theme());
  });
  redraw();
  return { redraw };
}

function start(picture: HTMLElement): EChartsType {
  picture.replaceChildren();
  return init(picture, null, { renderer: "svg" });
}

function savePng(key: string, svg: string, { widthPx, heightPx }: Chart, { surface }: ChartTheme): void {
  const image = new Image(widthPx, heightPx);
  image.addEventListener("load", () => {
    const canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = [PNG_SCALE * widthPx, PNG_SCALE * heightPx];
    const context = canvas.getContext("2d");
    if (context === null) return;
    context.fillStyle = surface;
    context.fillRect(0, 0, canvas.width, canvas.height);
    context.drawImage(image, 0, 0, canvas.width, canvas.height);
    canvas.toBlob((blob) => {
      if (blob !== null) download(`${key}.png`, blob);
    });
  });
  image.src = `data:image/svg+xml;charset=utf-8,${encodeURIComponent(svg)}`;
}
