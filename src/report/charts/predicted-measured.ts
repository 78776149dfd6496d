/** Predicted loss against measured KLD, of the plan and every control: whether the model of the loss orders them right. */

import { formatAmount } from "../../numbers.ts";
import type { Plan } from "../../plan/plan.ts";
import type { Run, RunRow } from "../../run/run-document.ts";
import { formatMeanSe } from "../terminal/mean-se.ts";
import { type Chart, type ChartSettings, chartBase } from "./chart.ts";
import { extentOf, formatTick, gridLines, logTicks, valueAxis } from "./extent.ts";
import {
  barEnds,
  errorBars,
  KIND_NAMES,
  labelSeries,
  pointSeries,
  type ScatterPoint,
  scatterFrame,
} from "./scatter.ts";

type PredictedRow = RunRow & { readonly predictedLoss: number; readonly kld: NonNullable<RunRow["kld"]> };

/** Pixels of the picture's height without its legend. */
const PLOT_PX = 370;

/** Draw the rows that have both; undefined where fewer than two do. */
export function predictedMeasuredChart(
  { rows }: Pick<Run, "rows">,
  { lossUnit }: Pick<Plan, "lossUnit">,
  settings: ChartSettings = {},
): Chart | undefined {
  const usable = rows.filter(hasBoth);
  if (usable.length < 2) return undefined;
  const { theme, widthPx, narrow, option, axis, legend } = chartBase(settings);
  const points = usable.map(pointOf);
  const log = points.every(({ x, y }) => x > 0 && y > 0);
  const { grid, area, heightPx } = scatterFrame(points, widthPx, PLOT_PX);
  const losses = extentOf(
    points.map(({ x }) => x),
    0.16,
    log,
  );
  const klds = extentOf(
    points.flatMap((point) => barEnds(point, log)),
    0.08,
    log,
  );
  const unit = lossUnit;
  return {
    title: "Predicted against measured",
    description:
      `The loss PRISM predicts (Σ s·D, ${unit}) across, the KL divergence that was measured up. ` +
      "Where the prediction is right, points further right are higher; bars are two standard errors.",
    widthPx,
    heightPx,
    table: {
      columns: [
        { header: "model" },
        { header: "kind" },
        { header: `predicted loss, ${unit}`, kind: "number" },
        { header: "KLD, nats", kind: "number" },
        { header: "±", kind: "number" },
      ],
      rows: usable.map(({ label, kind, predictedLoss, kld }) => [
        label,
        KIND_NAMES[kind],
        predictedLoss,
        kld.mean,
        kld.se,
      ]),
    },
    option: {
      ...option,
      legend: { ...legend, top: 4, left: grid.left - 8, itemGap: 16, selectedMode: false },
      grid: { ...grid, containLabel: false },
      xAxis: { ...valueAxis(losses, axis, formatTick), name: `predicted loss (${unit})`, nameGap: 30 },
      yAxis: {
        ...valueAxis(klds, axis, formatTick),
        name: narrow ? "" : "measured KL divergence, nats per token",
        nameGap: 54,
      },
      series: [
        { ...gridLines(theme), data: (log ? logTicks(klds) : []).map((tick) => [losses.min, tick]) },
        errorBars(points, theme, log),
        ...pointSeries(points, theme),
        ...labelSeries(points, losses, klds, area, theme),
      ],
    },
  };
}

function hasBoth(row: RunRow): row is PredictedRow {
  return row.kind !== "reference" && row.predictedLoss !== undefined && row.kld !== undefined;
}

function pointOf({ label, kind, predictedLoss, kld }: PredictedRow): ScatterPoint {
  const lines = [
    KIND_NAMES[kind],
    `predicted ${formatAmount(predictedLoss)}`,
    `KLD ${formatMeanSe({ value: kld.mean, se: kld.se })}`,
  ];
  return { label, kind, x: predictedLoss, y: kld.mean, se: kld.se, survives: kind === "plan", lines };
}
