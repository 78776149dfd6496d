/** A chart as the text of an SVG file, without a DOM. `npm run build` bundles echarts into it (bundle.mjs). */
import type { Chart } from "./chart.ts";
import { init } from "./echarts-parts.ts";
import { LIGHT_THEME } from "./theme.ts";

export interface SvgOptions {
  /** What is behind the picture. Default: white, so that a dark viewer shows it as drawn; "transparent" for none. */
  readonly background?: string;
}

/** Render a chart. Deterministic. */
export function renderSvg(chart: Chart, { background = LIGHT_THEME.surface }: SvgOptions = {}): string {
  const { option, widthPx: width, heightPx: height } = chart;
  const instance = init(null, null, { renderer: "svg", ssr: true, width, height });
  try {
    instance.setOption({ ...option, animation: false, backgroundColor: background });
    return instance.renderToSVGString();
  } finally {
    instance.dispose();
  }
}
