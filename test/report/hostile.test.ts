import { readFileSync } from "node:fs";
import { afterEach, describe, expect, it } from "vitest";
import { diffPlans } from "../../src/plan/diff.ts";
import { explainTensor } from "../../src/plan/explain.ts";
import { makePlan } from "../../src/plan/make-plan.ts";
import { renderCard } from "../../src/report/card/render-card.ts";
import { mapTensors } from "../../src/report/charts/model-map.ts";
import { renderSvg } from "../../src/report/charts/render-svg.ts";
import { tableCsv } from "../../src/report/charts/table.ts";
import { reportCharts, reportTables } from "../../src/report/export.ts";
import { renderReport } from "../../src/report/html/render-report.ts";
import { renderAnalysisTable } from "../../src/report/terminal/analysis-table.ts";
import { renderDiffTable } from "../../src/report/terminal/diff-table.ts";
import { renderExplanation } from "../../src/report/terminal/explain-text.ts";
import { renderMapText } from "../../src/report/terminal/map-text.ts";
import { renderPlanTable } from "../../src/report/terminal/plan-table.ts";
import { parseRun } from "../../src/run/run-state.ts";
import { hostileAnalysis, RAW } from "../plan/hostile.ts";
import { uniformSensitivity } from "../plan/synthetic-analysis.ts";

const run = parseRun(readFileSync(new URL("../documents/first-release/state.json", import.meta.url), "utf8"), "run");

const SEEDS = [1, 2, 3, 4, 5];

function documents(seed: number) {
  const analysis = hostileAnalysis(seed);
  const plan = (value: number) =>
    makePlan({ analysis, sensitivity: uniformSensitivity(analysis), budget: { kind: "bpw", value } });
  return { analysis, plan: plan(4), larger: plan(5) };
}

const TAGS = /<(img|script>alert)/;

/** Markdown without its code, in which nothing is markup. A backtick behind a backslash begins none. */
const withoutCode = (markdown: string) => markdown.replace(/\\`|(`+)(?!`)[\s\S]*?(?<!`)\1(?!`)/g, "");

/** The cells of CSV as a spreadsheet reads them. */
const cellsOf = (csv: string) =>
  [...csv.matchAll(/("(?:[^"]|"")*"|[^,\r\n]*)(?:,|\r\n)/g)].map(([, cell]) =>
    (cell as string).replace(/^"|"$/g, "").replaceAll('""', '"'),
  );

describe("hostile names", () => {
  // a library that keeps texts in an object takes "__proto__" for that of all objects
  afterEach(() => expect(Object.keys(Object.prototype)).toEqual([]));

  it.each(SEEDS)("take control of no terminal, seed %i", (seed) => {
    const { analysis, plan, larger } = documents(seed);
    const texts = [
      renderAnalysisTable(analysis),
      renderPlanTable(plan),
      renderMapText(mapTensors(plan)),
      renderDiffTable(diffPlans(plan, larger)),
      ...plan.tensors.map(({ name }) => renderExplanation(explainTensor(plan, name))),
    ];
    for (const text of texts) expect(RAW.exec(text)?.[0], text).toBeUndefined();
  });

  it.each(SEEDS)("mark nothing up in the page, its review, pictures and the card, seed %i", (seed) => {
    const { analysis, plan } = documents(seed);
    const pages = [
      renderReport({ plan, analysis }),
      renderReport({ plan, analysis }, { review: { file: "a" } as never }),
    ];
    const pictures = reportCharts({ plan, analysis }).map(([, chart]) => renderSvg(chart));
    const card = withoutCode(renderCard([{ run, plan, files: [] }]));
    for (const text of [...pages, ...pictures, card]) {
      expect(TAGS.exec(text)?.[0]).toBeUndefined();
      expect(RAW.exec(text)?.[0]).toBeUndefined();
    }
    for (const picture of pictures) expect(picture).not.toMatch(/NaN/);
  });

  it.each(SEEDS)("are no formula of a spreadsheet, seed %i", (seed) => {
    const { analysis, plan } = documents(seed);
    for (const [name, table] of reportTables({ plan, analysis })) {
      const cells = cellsOf(tableCsv(table));
      expect(cells).toHaveLength((table.rows.length + 1) * table.columns.length);
      expect(
        cells.filter((cell) => /^[=+\-@\t\r]/.test(cell) && Number.isNaN(Number(cell))),
        name,
      ).toEqual([]);
    }
  });
});
