import { describe, expect, it } from "vitest";
import { measuredRows, paretoChart, paretoFront } from "../../src/report/charts/pareto.ts";
import { choicesOf, verdictWithChange } from "../../src/report/family-choices.ts";
import { renderReport } from "../../src/report/html/render-report.ts";
import { renderRun } from "../../src/report/terminal/evaluation-table.ts";
import { renderFamily } from "../../src/report/terminal/family-table.ts";
import { renderParetoText } from "../../src/report/terminal/pareto-text.ts";
import { shownLabel } from "../../src/run/shown-label.ts";
import { familyInMemory } from "./charts/family-in-memory.ts";
import { runInMemory } from "./charts/run-in-memory.ts";

const family = familyInMemory();
const { run } = family;

describe("which file of a family to choose", () => {
  it("has each size once, in the codes that are better, judged against the nearest preset", () => {
    const choices = choicesOf(run);
    expect(choices.map(({ file }) => file)).toEqual([
      "plan-2.80bpw-feedback.gguf",
      "plan-3.50bpw.gguf",
      "plan-4.55bpw.gguf",
    ]);
    expect(choices.map(({ isPlan }) => isPlan)).toEqual([false, true, false]);
    expect(choices.map(verdictWithChange)).toEqual([
      "Q3_K_M is larger and better (KLD +25 %)",
      "beats Q3_K_M (KLD -17 %)",
      "Q3_K_L is smaller and worse (KLD -52 %)",
    ]);
    expect(choicesOf(runInMemory().run)).toEqual([]);
  });

  it("fits a terminal of 80 columns, and says what plan.gguf is", () => {
    const text = renderFamily(run).join("\n");
    expect(text).toContain("plan-2.80bpw-feedback");
    expect(text).toContain("plan.gguf and the controls are of plan 3.50bpw (no knee: the");
    for (const line of text.split("\n")) expect(line.length, line).toBeLessThanOrEqual(80);
    expect(renderRun(run)).toContain(text);
    expect(renderFamily(runInMemory().run)).toEqual([]);
  });

  it("stands at the top of the report, before the controls", () => {
    const page = renderReport(family);
    const choose = page.indexOf('<h2 id="choose-title">Which one to choose</h2>');
    expect(choose).toBeGreaterThan(0);
    expect(choose).toBeLessThan(page.indexOf('id="results-title"'));
    expect(page).toContain("plan-2.80bpw-feedback.gguf");
    expect(page).toContain("The controls, and the last column, are of plan 3.50bpw.");
    expect(page).not.toContain('"kldPerChunk"');
    expect(renderReport(runInMemory())).not.toContain("choose-title");
  });

  it("has members named in the pictures, none twice", () => {
    const rows = measuredRows(run);
    const labels = rows.map(({ label }) => label);
    expect(new Set(labels).size).toBe(labels.length);
    expect(labels).toEqual(expect.arrayContaining(["plan 2.80bpw", "plan 2.80bpw, error feedback", "plan 3.50bpw"]));
    expect(labels).not.toContain("plan");
    expect(paretoFront(rows, "kld").map(({ label }) => label)).toContain("plan 2.80bpw, error feedback");
    expect(paretoChart(run)?.table.rows.map(([label]) => label)).toEqual(labels.map(shownLabel));
    const text = renderParetoText(run) ?? "";
    expect(text).toMatch(/^P +plan 3\.50bpw/m);
    expect(text.match(/^P /gm)).toHaveLength(1);
  });
});
