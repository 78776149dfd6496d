/**
 * The page of a report: bytes, first paint, and planning anew in headless Chromium, for a plan of a 9B model and for
 * maps of 1,000 tensors and of 100 layers × 30 classes. `npm run build && npx tsx bench/report.ts`. Shapes are real or
 * made up; distortions and metrics are formulas: what counts here is how many there are.
 */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import type { Browser } from "playwright-core";
import { QWEN35, qwen35Tensors } from "../plans/qwen35-shapes.ts";
import type { Analysis, Metrics } from "../src/analyze/analysis.ts";
import { uniformSensitivity } from "../src/analyze/sensitivity.ts";
import { makePlan } from "../src/plan/make-plan.ts";
import { renderReport } from "../src/report/html/render-report.ts";
import { syntheticAnalysis } from "../test/plan/synthetic-analysis.ts";
import { runOf } from "../test/report/charts/run-in-memory.ts";
import { launch, noBrowser, visit } from "../test/report/page/browser.ts";

/** Positions of the slider that are tried. */
const POSITIONS = Array.from({ length: 25 }, (_, index) => 100 + 30 * index);
/** Loads of the page, of which the median counts. */
const LOADS = 5;

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
    "| report | tensors | bytes | first paint, ms | plan anew, ms (max) | with the page, ms (max) | layer, ms |",
  );
  console.log("|---|---|---|---|---|---|---|");
  for (const [label, analysis] of Object.entries(models)) console.log(await measure(browser, label, analysis));
} finally {
  await browser.close();
  rmSync(folder, { recursive: true, force: true });
}

async function measure(chromium: Browser, label: string, analysis: Analysis): Promise<string> {
  const plan = makePlan({ analysis, sensitivity: uniformSensitivity(analysis), budget: { kind: "bpw", value: 4 } });
  const html = renderReport({ run: runOf(plan), plan, analysis });
  const path = join(folder, "report.html");
  writeFileSync(path, html);
  const paints: number[] = [];
  let row = "";
  for (let load = 0; load < LOADS; load++) {
    const { page, context } = await visit(chromium, pathToFileURL(path).href);
    paints.push(Number(await page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime")));
    if (load === LOADS - 1) {
      for (const position of POSITIONS) {
        await page.locator("#budget-range").fill(String(position));
        await page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))");
      }
      const times = async (name: string) =>
        (await page.evaluate(
          `performance.getEntriesByName("${name}").slice(1).map((entry) => entry.duration)`,
        )) as number[];
      const plans = await times("prism-plan");
      const updates = await times("prism-update");
      const layer = Number(
        await page.evaluate(`(() => {
          const select = document.querySelector("#map-layer");
          select.value = "sensitivity";
          const start = performance.now();
          select.dispatchEvent(new Event("change"));
          document.body.getBoundingClientRect();
          return performance.now() - start;
        })()`),
      );
      const eligible = plan.tensors.filter(({ reason }) => reason !== "ineligible").length;
      row = `${eligible} | ${html.length} | PAINT | ${spread(plans)} | ${spread(updates)} | ${layer.toFixed(0)} |`;
    }
    await context.close();
  }
  return `| ${label} | ${row.replace("PAINT", median(paints).toFixed(0))}`;
}

function withMetrics(analysis: Analysis): Analysis {
  const metrics = (index: number): Metrics => ({
    alphaHill: { value: 2 + Math.sin(index), tail: 100, se: 0.1 },
    spectralDominance: { value: 1 + Math.cos(index), stableRank: 40 },
    osqe: { b2: 0.15, b3: 0.04 + 0.001 * Math.sin(index), b4: 0.01, b6: 0.001 },
    imbalance: { value: 0.2 + 0.01 * Math.cos(index), row: 0.1, column: 0.2, columnLogSpread: 0.1 },
    fragility: 2.5 + 0.1 * Math.sin(index),
    boundaryDensity: 0.1 * Math.cos(index),
    spectralPosition: Math.abs(Math.sin(index)),
  });
  return { ...analysis, tensors: analysis.tensors.map((tensor, index) => ({ ...tensor, metrics: metrics(index) })) };
}

function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;
}

function spread(values: readonly number[]): string {
  return `${median(values).toFixed(0)} (${Math.max(...values).toFixed(0)})`;
}
