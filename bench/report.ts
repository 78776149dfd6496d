/**
 * The page of a report: bytes, first paint, and planning anew in headless Chromium, for a plan of a 9B model and for
 * maps of 1,000 tensors and of 100 layers × 30 classes. `npm run build && npx tsx bench/report.ts [MODEL...]`; --record
 * appends the figures to bench/results/. Shapes are real or
 * made up; distortions and metrics are formulas: what counts here is how many there are.
 */

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { parseArgs } from "node:util";
import type { Browser, Page } from "playwright-core";
import { QWEN35, qwen35Tensors } from "../research/qwen35-shapes.ts";
import type { Analysis } from "../src/analyze/analysis.ts";
import { makePlan } from "../src/plan/make-plan.ts";
import { renderReport } from "../src/report/html/render-report.ts";
import { uniformSensitivity } from "../src/sensitivity/sensitivity.ts";
import { metricsAt } from "../test/analyze/made-up-metrics.ts";
import { syntheticAnalysis } from "../test/plan/synthetic-analysis.ts";
import { runOf } from "../test/report/charts/run-in-memory.ts";
import { launch, noBrowser, visit } from "../test/report/page/browser.ts";
import { recordResult } from "./results.ts";

/** Positions of the slider that are tried. */
const POSITIONS = Array.from({ length: 25 }, (_, index) => 100 + 30 * index);
/** Loads of the page, of which the median counts. */
const LOADS = 5;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { record: { type: "boolean", default: false } },
});
if (noBrowser !== undefined) throw new Error(noBrowser);

const nine = QWEN35.find(({ name }) => name === "Qwen3.5-9B");
if (nine === undefined) throw new Error("no shapes of Qwen3.5-9B");
const grid = Array.from({ length: 100 }, (_, layer) =>
  Array.from(
    { length: 30 },
    (_, part) => [`blk.${layer}.part_${part}.weight`, [1024, 256 * (1 + (part % 5))]] as const,
  ),
);
const models: Record<string, Analysis> = {
  "Qwen3.5-9B": withMetrics(
    syntheticAnalysis({
      layers: 0,
      width: nine.hidden,
      extra: Object.fromEntries(qwen35Tensors(nine).map(({ name, shape }) => [name, shape])),
    }),
  ),
  "1,000 tensors": withMetrics(syntheticAnalysis({ layers: 142, width: 1024 })),
  "100 layers × 30 classes": withMetrics(syntheticAnalysis({ layers: 0, extra: Object.fromEntries(grid.flat()) })),
};

const folder = mkdtempSync(join(tmpdir(), "prism-bench-report-"));
const browser = await launch();
try {
  console.log(
    "| report | tensors | bytes | first paint, ms | plan anew, ms | most | with the page, ms | most | layer, ms |",
  );
  console.log("|---|---|---|---|---|---|---|---|---|");
  const figures: Record<string, Figures> = {};
  for (const [label, analysis] of Object.entries(models)) {
    if (positionals.length > 0 && !positionals.includes(label)) continue;
    const found = await measure(browser, analysis);
    figures[label] = found;
    console.log(`| ${label} | ${Object.values(found).join(" | ")} |`);
  }
  if (values.record) console.log(await recordResult({ bench: "report", figures }));
} finally {
  await browser.close();
  rmSync(folder, { recursive: true, force: true });
}

/** Medians, and the most of the slider's positions. In the order of the table's columns. */
interface Figures {
  readonly tensors: number;
  readonly bytes: number;
  readonly firstPaintMs: number;
  readonly planMs: number;
  readonly planMostMs: number;
  readonly updateMs: number;
  readonly updateMostMs: number;
  readonly layerMs: number;
}

async function measure(chromium: Browser, analysis: Analysis): Promise<Figures> {
  const plan = makePlan({ analysis, sensitivity: uniformSensitivity(analysis), budget: { kind: "bpw", value: 4 } });
  const html = renderReport({ run: runOf(plan), plan, analysis });
  const url = pathToFileURL(join(folder, "report.html"));
  writeFileSync(url, html);
  const paints: number[] = [];
  for (let load = 1; load < LOADS; load++) {
    const { page, context } = await visit(chromium, url.href);
    paints.push(await firstPaint(page));
    await context.close();
  }
  const { page, context } = await visit(chromium, url.href);
  paints.push(await firstPaint(page));
  for (const position of POSITIONS) {
    await page.locator("#budget-range").fill(String(position));
    await page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))");
  }
  const plans = await durations(page, "prism-plan");
  const updates = await durations(page, "prism-update");
  const layerMs = await switchLayer(page);
  await context.close();
  return {
    tensors: plan.tensors.filter(({ reason }) => reason !== "ineligible").length,
    bytes: Buffer.byteLength(html),
    firstPaintMs: median(paints),
    planMs: median(plans),
    planMostMs: Math.round(Math.max(...plans)),
    updateMs: median(updates),
    updateMostMs: Math.round(Math.max(...updates)),
    layerMs,
  };
}

async function firstPaint(page: Page): Promise<number> {
  const paint = await page.evaluate(`new Promise((done) => {
    new PerformanceObserver((list) => {
      for (const { name, startTime } of list.getEntries()) if (name === "first-contentful-paint") done(startTime);
    }).observe({ type: "paint", buffered: true });
  })`);
  return Number(paint);
}

/** All but the first, when the page is loaded. */
async function durations(page: Page, name: string): Promise<number[]> {
  return page.evaluate(`performance.getEntriesByName("${name}").slice(1).map((entry) => entry.duration)`);
}

async function switchLayer(page: Page): Promise<number> {
  const ms = await page.evaluate(`(() => {
    const select = document.querySelector("#map-layer");
    select.value = "sensitivity";
    const start = performance.now();
    select.dispatchEvent(new Event("change"));
    document.body.getBoundingClientRect();
    return performance.now() - start;
  })()`);
  return Math.round(Number(ms));
}

function withMetrics(analysis: Analysis): Analysis {
  const metrics = (index: number) => metricsAt(0.5 + 0.5 * Math.sin(index));
  return { ...analysis, tensors: analysis.tensors.map((tensor, index) => ({ ...tensor, metrics: metrics(index) })) };
}

function median(values: readonly number[]): number {
  return Math.round([...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN);
}
