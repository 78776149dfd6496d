import { describe, expect, it } from "vitest";
import { makePlan } from "../../src/plan/make-plan.ts";
import { type MapTensor, mapTensors } from "../../src/report/charts/model-map.ts";
import { renderMapText } from "../../src/report/terminal/map-text.ts";
import { ansi } from "../../src/report/terminal/paint.ts";
import { renderParetoText } from "../../src/report/terminal/pareto-text.ts";
import { syntheticAnalysis, uniformSensitivity } from "../plan/synthetic-analysis.ts";
import { runInMemory } from "./charts/run-in-memory.ts";

const longest = (text: string) => Math.max(...text.split("\n").map((line) => [...line].length));

const tensor = (name: string, layer: number | undefined, type: MapTensor["type"]): MapTensor => ({
  name: `blk.${layer}.${name}.weight`,
  class: name,
  shape: [256, 256],
  elements: 65536,
  sourceType: "F16",
  ...(layer === undefined ? {} : { layer }),
  ...(type === undefined ? {} : { type }),
});

const large = Array.from({ length: 100 }, (_, layer) =>
  Array.from({ length: 30 }, (_, index) =>
    tensor(`class_${String.fromCharCode(97 + (index % 26))}${index}`, layer, layer < 50 ? "Q4_K" : "IQ4_XS"),
  ),
).flat();

describe("renderMapText", () => {
  it("is a cell for every tensor, with the letters of the map in the page", () => {
    const tensors = [
      tensor("attn_q", 0, "Q3_K"),
      tensor("attn_q", 1, "IQ4_XS"),
      tensor("ffn_down", 1, "Q4_K"),
      tensor("output", undefined, "Q6_K"),
    ];
    expect(renderMapText(tensors)).toBe(
      [
        "MAP of types, layers across",
        "3 Q3_K  4x IQ4_XS  4 Q4_K  6 Q6_K",
        "layer            0  1",
        "attn_q           3  4x",
        "ffn_down         ·  4",
        "output           Q6_K",
      ].join("\n"),
    );
  });

  it("folds 100 layers of 30 classes into 80 columns, every tensor once", () => {
    const text = renderMapText(large);
    expect(longest(text)).toBeLessThanOrEqual(80);
    const cells = text.split("\n").filter((line) => line.startsWith("class_"));
    const marks = cells.map((line) => line.slice(17).replaceAll(" ", "")).join("");
    expect(marks.length).toBe(3000);
    expect([...marks].filter((mark) => mark === "4")).toHaveLength(1500);
    expect([...marks].filter((mark) => mark === "x")).toHaveLength(1500);
    expect(text.split("\n")[2]).toMatch(/^layer +0 +10 +20 +30 +40/);
  });

  it("uses the columns it may", () => {
    const wide = renderMapText(large, { width: 140 });
    expect(longest(wide)).toBeGreaterThan(100);
    expect(longest(wide)).toBeLessThanOrEqual(140);
  });

  it("paints each type where there are colours, and says the same", () => {
    const control = String.fromCharCode(27);
    const painted = renderMapText(large, { paint: ansi });
    expect(painted).toContain(`${control}[32m4${control}[0m`);
    expect(painted.replaceAll(new RegExp(`${control}\\[\\d+m`, "g"), "")).toBe(renderMapText(large));
  });

  it("prints names and layers of a stranger's file without harm", () => {
    const hostile = Array.from({ length: 500 }, (_, index) =>
      tensor(`\u001b[2J${index}${"x".repeat(999)}`, 1e15 + index, "Q4_K"),
    );
    const text = renderMapText(hostile);
    expect(longest(text)).toBeLessThanOrEqual(80);
    expect(text).not.toContain("\u001b");
    expect(text).toContain("more rows");
  });

  it("shows a plan's tensors that can be quantized and no others", () => {
    const analysis = syntheticAnalysis({ layers: 3 });
    const sensitivity = uniformSensitivity(analysis);
    const plan = makePlan({ analysis, sensitivity, budget: { kind: "bpw", value: 4 } });
    const text = renderMapText(mapTensors(plan));
    expect(text).toMatch(/^ffn_down /m);
    expect(text).not.toContain("norm");
  });
});

describe("renderParetoText", () => {
  const { run } = runInMemory();

  it("marks every measured row in 80 columns, and those that none beats", () => {
    const text = renderParetoText(run) ?? "";
    expect(longest(text)).toBeLessThanOrEqual(80);
    const lines = text.split("\n").map((line) => line.trim().split(/ {2,}/));
    const table = lines.filter(([mark]) => /^[A-Za-z]$/.test(mark ?? ""));
    expect(table.map(([, name]) => name).sort()).toEqual(
      ["all Q3_K", "all Q4_K", "Q3_K_L", "Q3_K_M", "shuffled plan 1", "shuffled plan 2", "the plan"].sort(),
    );
    expect(table.filter((row) => row.at(-1) === "*").map(([, name]) => name)).toEqual([
      "all Q3_K",
      "the plan",
      "all Q4_K",
    ]);
    const picture = text.slice(0, text.indexOf("└"));
    for (const [mark] of table) expect(picture).toMatch(new RegExp(`│.*${mark}`));
  });

  it("puts better files lower", () => {
    const picture = (renderParetoText(run) ?? "").split("\n");
    const line = (mark: string) => picture.findIndex((text) => text.includes("│") && text.slice(12).includes(mark));
    // a is the smallest file, f the largest
    expect(line("a")).toBeLessThan(line("P"));
    expect(line("P")).toBeLessThan(line("f"));
  });

  it("goes by the ranking where rerankers were ranked, and is not drawn where nothing was measured", () => {
    const ranked = run.rows.map((row, index) => ({
      ...row,
      rerank: {
        meanAbsDelta: { value: 0.01 * (index + 1), se: 0.001 },
        maxAbsDelta: 1,
        top1Agreement: 90,
        moved: 0,
        perQuery: [],
      },
    }));
    expect(renderParetoText({ rows: ranked })).toContain("mean |Δscore|");
    expect(renderParetoText({ rows: run.rows.map(({ kld: _, ppl: __, ...row }) => row) })).toBeUndefined();
  });
});
