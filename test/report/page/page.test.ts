import { readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { formatInteger, formatSize } from "../../../src/numbers.ts";
import { exactName } from "../../../src/plan/exact-name.ts";
import { makePlan, type PlanOptions } from "../../../src/plan/make-plan.ts";
import type { Plan } from "../../../src/plan/plan.ts";
import { readPlan } from "../../../src/plan/read-plan.ts";
import { renderRecipe } from "../../../src/plan/recipe.ts";
import { serializePlan } from "../../../src/plan/serialize-plan.ts";
import { renderReport } from "../../../src/report/html/render-report.ts";
import { startReview } from "../../../src/report/review-server.ts";
import { shownLabel } from "../../../src/run/shown-label.ts";
import { uniformSensitivity } from "../../../src/sensitivity/sensitivity.ts";
import { prism, scratchFolder } from "../../cli/prism.ts";
import { runInMemory } from "../charts/run-in-memory.ts";
import { launch, noBrowser, type Visit, type VisitOptions, visit } from "./browser.ts";

const folder = scratchFolder();
afterAll(folder.remove);

const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const { analysis, plan, run } = runInMemory();
const page = (name: string, html: string): string => {
  const path = join(folder.path, name);
  writeFileSync(path, html);
  return pathToFileURL(path).href;
};

describe.skipIf(noBrowser !== undefined)(`the page of a report${noBrowser ? ` (${noBrowser})` : ""}`, () => {
  let browser: Browser;
  const visits: Visit[] = [];
  const open = async (url: string, options?: VisitOptions) => {
    const visited = await visit(browser, url, options);
    visits.push(visited);
    return visited;
  };
  const url = page("report.html", renderReport({ run, plan, analysis }));
  const planAs = (options: Partial<PlanOptions>) =>
    makePlan({
      analysis,
      sensitivity: uniformSensitivity(analysis),
      budget: { kind: "like", fileType: "Q3_K_M" },
      ...options,
    });

  beforeAll(async () => {
    browser = await launch();
  });
  afterAll(async () => {
    await browser.close();
  });

  it("says what came out, complains of nothing and asks nothing of a network", async () => {
    const { page: report, complaints, requests } = await open(url);
    expect(await report.title()).toContain("Tiny");
    expect(await report.locator(".verdict").textContent()).toMatch(/^The plan beats Q3_K_M/);
    expect(await report.locator("table.results tbody tr").count()).toBe(run.rows.length);
    expect(await report.locator("figure svg").count()).toBe(3);
    for (const { label, kind } of run.rows.filter((row) => row.kind !== "reference")) {
      expect(
        await report.locator(`figure[data-chart=pareto] svg text`, { hasText: shownLabel(label) }).count(),
        kind,
      ).toBeGreaterThan(0);
    }
    expect(complaints).toEqual([]);
    expect(requests).toEqual([]);
  });

  it.each(["light", "dark"] as const)("passes an accessibility scan in the %s theme", async (theme) => {
    const { page: report } = await open(url, { theme });
    await report.evaluate(() => {
      for (const details of document.querySelectorAll("details")) details.open = true;
    });
    expect(await violations(report)).toEqual([]);
    await report.click("#theme");
    expect(await report.getAttribute("html", "data-theme")).toBe(theme === "light" ? "dark" : "light");
  });

  it.each([360, 1280, 1920])("is no wider than a screen of %i pixels", async (width) => {
    const { page: report } = await open(url, { width });
    expect(await report.evaluate(() => document.documentElement.scrollWidth)).toBeLessThanOrEqual(width);
  });

  it("plans anew with the slider exactly as the command line does for the same bytes", async () => {
    const { page: report } = await open(url);
    await slide(report, 400);
    const exported = await downloadPlan(report);
    writeFileSync(join(folder.path, "a.json"), JSON.stringify(analysis));
    const size = String(exported.budget.fileBytes);
    const { mode } = exported.sensitivity;
    const asked = ["--size", size, "--sensitivity", mode];
    const out = await prism(["plan", "a.json", ...asked, "--json", "-o", "cli.json"], folder.path);
    expect(out.stderr).toBe("");
    const fromCli = JSON.parse(out.stdout) as Plan;
    expect({ ...exported, createdAt: "" }).toEqual({ ...fromCli, createdAt: "" });
    const outcome = await report.locator("#outcome").textContent();
    expect(outcome).toContain(`${formatInteger(fromCli.predicted.fileBytes)} bytes`);
    expect(outcome).toContain(fromCli.predicted.bpw.toFixed(4));
  });

  it("holds pins of a tensor and of a class, and takes them away again", async () => {
    const { page: report } = await open(url);
    await choose(report, "blk.2.attn_k.weight");
    await report.selectOption("#pin-type", "Q6_K");
    await report.click('[data-pin="tensor"]');
    await choose(report, "blk.1.ffn_up.weight");
    await report.selectOption("#pin-type", "Q5_K");
    await report.click('[data-pin="class"]');
    await slide(report, 500);
    const { createdAt, ...exported } = await downloadPlan(report);
    const budget = { kind: "fileBytes", value: exported.budget.fileBytes, text: exported.budget.text } as const;
    const constraints = [
      { kind: "pin", pattern: exactName("blk.2.attn_k.weight"), type: "Q6_K" },
      { kind: "pin", pattern: "^blk\\.\\d+\\.ffn_up\\.weight$", type: "Q5_K" },
    ] as const;
    expect({ createdAt, ...exported }).toEqual(planAs({ budget, constraints, createdAt }));
    expect(typesOf(exported, /attn_k/)[2]).toBe("Q6_K");
    expect(new Set(typesOf(exported, /ffn_up/))).toEqual(new Set(["Q5_K"]));
    await report.click('[data-remove="1"]');
    await report.click('[data-remove="0"]');
    expect(await downloadPlan(report)).toEqual(planAs({ budget, createdAt: (await downloadPlan(report)).createdAt }));
  });

  it("exports a plan that is read back as the same file, and its recipe", async () => {
    const { page: report } = await open(url);
    await report.click('[data-preset="Q4_K_M"]');
    const text = await downloadText(report, '#what-if [data-export="plan.json"]');
    const exported = readPlan(text, "plan.json");
    expect(serializePlan(exported)).toBe(text);
    expect(exported.source.headerHash).toBe(plan.source.headerHash);
    expect(exported).toEqual(planAs({ budget: { kind: "like", fileType: "Q4_K_M" }, createdAt: exported.createdAt }));
    expect(await downloadText(report, '[data-export="recipe.sh"]')).toBe(renderRecipe(exported)["recipe.sh"]);
    writeFileSync(join(folder.path, "exported.json"), text);
    const again = await prism(["plan", "--from", "exported.json", "-o", "again.json"], folder.path);
    expect(again.code).toBe(0);
    expect(readFileSync(join(folder.path, "again.json"), "utf8")).toBe(text);
  });

  it("saves to the file that prism review opened, from the address it printed", async () => {
    const path = join(folder.path, "reviewed.json");
    writeFileSync(path, serializePlan(plan));
    const server = await startReview({ path, port: 0 });
    try {
      const { page: report, complaints } = await open(server.url);
      expect(report.url()).not.toContain("token");
      await slide(report, 600);
      const text = await downloadText(report, '#what-if [data-export="plan.json"]');
      await report.click("#save");
      await report.waitForFunction(() => document.getElementById("saved")?.textContent === "Saved to reviewed.json.");
      expect(readFileSync(path, "utf8")).toBe(text);
      await server.close();
      await report.click("#save");
      await report.waitForFunction(() => document.getElementById("saved")?.textContent?.startsWith("Not saved"));
      expect(complaints.filter((complaint) => !complaint.includes("ERR_CONNECTION_REFUSED"))).toEqual([]);
    } finally {
      await server.close();
    }
  });

  it("heads the page of a plan with the plan that was made anew, and with the opened one after Reset", async () => {
    const { page: report } = await open(page("plan.html", renderReport({ plan, analysis })));
    const facts = () => report.locator(".heading .facts").textContent();
    const opened = await facts();
    const box = report.getByLabel("Size, bits per weight (4.5bpw) or preset");
    await box.fill("Q2_K");
    await box.press("Enter");
    await report.locator(".heading", { hasText: "--like Q2_K" }).waitFor();
    expect(await facts()).toContain(
      `${formatInteger(planAs({ budget: { kind: "like", fileType: "Q2_K" } }).predicted.fileBytes)} bytes`,
    );
    await report.getByRole("button", { name: "Reset" }).click();
    expect(await facts()).toBe(opened);
  });

  it("says on a phone that a table goes on, until it was scrolled to its end", async () => {
    const { page: report } = await open(url, { width: 360 });
    const results = report.locator(".wide", { has: report.getByRole("region", { name: "Results, table" }) });
    const isMarked = () => results.evaluate((wide) => wide.classList.contains("more-right"));
    await expect.poll(isMarked).toBe(true);
    await results.locator(".scroll").evaluate((frame) => frame.scrollTo(frame.scrollWidth, 0));
    await expect.poll(isMarked).toBe(false);
    expect(await report.evaluate(() => document.documentElement.scrollWidth)).toBe(360);
    const legend = await report.locator("#map-legend").textContent();
    const bits = [...(legend ?? "").matchAll(/I?Q(\d)/g)].map(([, digits]) => Number(digits));
    expect(bits).toEqual([...bits].sort((one, other) => other - one));
  });

  it("says why a budget is impossible, and keeps the plan", async () => {
    const { page: report } = await open(url);
    await report.fill("#budget-text", "0.5bpw");
    await report.press("#budget-text", "Enter");
    expect(await report.locator("#problem").textContent()).toMatch(/possible are [\d,]+ to [\d,]+ bytes/);
    expect(await downloadText(report, '#what-if [data-export="plan.json"]')).toBe(serializePlan(plan));
    await report.click("#reset");
    expect(await report.locator("#problem").textContent()).toBe("");
  });

  it("is worked by keys alone: every control has the focus in turn, arrows walk the map, Enter goes to the pin", async () => {
    const { page: report } = await open(url);
    const reached = new Set<string>();
    for (let presses = 0; presses < 120; presses++) {
      await report.keyboard.press("Tab");
      reached.add(
        await report.evaluate(() => document.activeElement?.id || (document.activeElement?.textContent ?? "")),
      );
      if (await report.evaluate(() => document.activeElement?.id === "recipe-text")) break;
    }
    for (const id of [
      "theme",
      "budget-range",
      "budget-text",
      "reset",
      "map-layer",
      "pin-type",
      "recipe-file",
      "copy-recipe",
    ]) {
      expect([...reached], id).toContain(id);
    }
    await report.focus("#map-grid td[tabindex='0']");
    const start = await report.locator("#explain h3").textContent();
    expect(start).toBe("blk.0.attn_q.weight");
    for (const key of ["ArrowRight", "ArrowDown", "ArrowDown", "ArrowLeft", "End"]) await report.keyboard.press(key);
    expect(await report.locator("#explain h3").textContent()).toBe("blk.3.attn_v.weight");
    await report.keyboard.press("Enter");
    expect(await report.evaluate(() => document.activeElement?.id)).toBe("pin-type");
    expect(await report.locator("#map-grid td[tabindex='0']").count()).toBe(1);
  });

  it("explains a tensor: why its type, and what the steps around it cost and bring", async () => {
    const { page: report } = await open(url);
    await report.hover('#map-grid [aria-label*=" blk.1.ffn_down.weight"]');
    const tensor = plan.tensors.find(({ name }) => name === "blk.1.ffn_down.weight");
    const text = await report.locator("#explain").textContent();
    expect(text).toContain("the allocator chose it");
    expect(await report.locator("#explain tr.chosen th").textContent()).toBe(tensor?.type);
    const up = report.locator("#explain tr", { hasText: "step up" });
    expect(await up.textContent()).toContain(`+${formatSize((tensor?.up?.bytes ?? 0) - (tensor?.bytes ?? 0))}`);
  });

  it("shows every layer of the map with a text in every cell, and switches the picture to perplexity", async () => {
    const { page: report, complaints } = await open(page("plan.html", renderReport({ plan, analysis })));
    for (const layer of ["byteShare", "lossShare", "sensitivity", "distortion"]) {
      await report.selectOption("#map-layer", layer);
      const texts = await report.locator("#map-grid td[tabindex]").allTextContents();
      expect(texts.every((text) => text !== "")).toBe(true);
    }
    const { page: whole } = await open(url);
    await whole.check('input[name="pareto-metric"][value="ppl"]');
    expect(await whole.locator("figure[data-chart=pareto] figcaption").textContent()).toContain("perplexity");
    expect(complaints).toEqual([]);
  });

  it("shows an analysis alone", async () => {
    const { page: report, complaints } = await open(page("analysis.html", renderReport({ analysis })));
    expect(await report.locator("#map-grid td[tabindex]").count()).toBe(30);
    expect(await report.locator("#explain h3").textContent()).not.toBe("");
    expect(await violations(report)).toEqual([]);
    expect(complaints).toEqual([]);
  });

  it("shows names of a hostile file as text, clipped", async () => {
    const hostile = [
      "blk.0.</script><script>window.hit=1</script>.weight",
      "blk.1.\"'><img src=x onerror=window.hit=1>.weight",
      "blk.2.\u202egnp.\u200f\u0000.weight",
      `blk.3.${"long".repeat(2500)}.weight`,
      "blk.4000000000.__proto__.weight",
    ];
    const extra = Object.fromEntries(hostile.map((name) => [name, [256, 256]]));
    const bad = runInMemory({ extra });
    const named = { ...bad.plan, source: { ...bad.plan.source, name: hostile[0] as string } };
    const {
      page: report,
      complaints,
      requests,
    } = await open(page("hostile.html", renderReport({ ...bad, plan: named })));
    expect(await report.evaluate(() => (window as { hit?: number }).hit)).toBeUndefined();
    expect(await report.locator("h1").textContent()).toContain("</script>");
    expect(await report.locator("#map-grid td[tabindex]").count()).toBe(30 + hostile.length);
    await report.click("#tensor-details summary");
    const longest = await report
      .locator("th, td, h1, h3")
      .evaluateAll((cells) => cells.map((cell) => cell.textContent?.length ?? 0));
    expect(Math.max(...longest)).toBeLessThanOrEqual(200);
    expect(await report.evaluate(() => document.documentElement.scrollWidth)).toBeLessThanOrEqual(1280);
    await slide(report, 300);
    const exported = await downloadPlan(report);
    expect(exported.tensors.map(({ name }) => name)).toEqual(bad.plan.tensors.map(({ name }) => name));
    expect(complaints).toEqual([]);
    expect(requests).toEqual([]);
  });
});

async function violations(report: Page): Promise<string[]> {
  await report.evaluate(AXE);
  return report.evaluate(async () => {
    const { axe } = globalThis as unknown as {
      axe: { run(): Promise<{ violations: { id: string; nodes: { html: string }[] }[] }> };
    };
    const result = await axe.run();
    return result.violations.map(({ id, nodes }) => `${id}: ${nodes[0]?.html.slice(0, 200)}`);
  });
}

async function slide(report: Page, position: number): Promise<void> {
  await report.locator("#budget-range").fill(String(position));
  await report.evaluate(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))));
}

async function choose(report: Page, name: string): Promise<void> {
  await report.click(`#map-grid [aria-label*=" ${name}"]`);
}

async function downloadText(report: Page, selector: string): Promise<string> {
  const [download] = await Promise.all([report.waitForEvent("download"), report.click(selector)]);
  return readFileSync(await download.path(), "utf8");
}

async function downloadPlan(report: Page): Promise<Plan> {
  return JSON.parse(await downloadText(report, '#what-if [data-export="plan.json"]')) as Plan;
}

function typesOf({ tensors }: Pick<Plan, "tensors">, pattern: RegExp): string[] {
  return tensors.filter(({ name }) => pattern.test(name)).map(({ type }) => type);
}
