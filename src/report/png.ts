/** A chart as a PNG file: its SVG, rasterized by resvg with the font that comes along, the same on every machine. */

import { entryPoint } from "../entry.ts";
import { BackendError } from "../errors.ts";
import type { Chart } from "./charts/chart.ts";
import { renderSvg, type SvgOptions } from "./charts/render-svg.ts";

/** Pixels per pixel of the chart: sharp on screens of twice the density, and in print at 10 cm. */
const SCALE = 2;

const FONT_FAMILY = "DejaVu Sans";

/** Render a chart. Throws BackendError where resvg has no program for this machine. */
export async function renderPng(chart: Chart, options: SvgOptions = {}): Promise<Uint8Array> {
  const { Resvg } = await import("@resvg/resvg-js").catch((error: Error) => {
    throw new BackendError(`PNG: @resvg/resvg-js doesn't load here (${error.message}); SVG needs nothing: --svg`, {
      cause: error,
    });
  });
  const image = new Resvg(renderSvg(chart, options), {
    fitTo: { mode: "zoom", value: SCALE },
    font: {
      loadSystemFonts: false,
      fontFiles: ["DejaVuSans", "DejaVuSans-Bold"].map(fontFile),
      defaultFontFamily: FONT_FAMILY,
      sansSerifFamily: FONT_FAMILY,
    },
  });
  return image.render().asPng();
}

/** Put into dist/ by bundle.mjs. */
function fontFile(name: string): string {
  return entryPoint(`./fonts/${name}`, import.meta.url).replace(/js$/, "ttf");
}
