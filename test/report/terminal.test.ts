import { describe, expect, it } from "vitest";
import { formatAmount, formatBytes, formatDelta, formatInteger, formatPercent } from "../../src/numbers.ts";
import { diffPlans } from "../../src/plan/diff.ts";
import { explainTensor } from "../../src/plan/explain.ts";
import { makePlan } from "../../src/plan/make-plan.ts";
import { renderAnalysisTable } from "../../src/report/terminal/analysis-table.ts";
import { renderDiffTable } from "../../src/report/terminal/diff-table.ts";
import { renderExplanation } from "../../src/report/terminal/explain-text.ts";
import { renderPlanTable } from "../../src/report/terminal/plan-table.ts";
import { formatTable } from "../../src/report/terminal/table.ts";
import { wrapWords } from "../../src/report/terminal/wrap-words.ts";
import { type Synthetic, syntheticAnalysis, uniformSensitivity } from "../plan/synthetic-analysis.ts";

function plan(value: number, synthetic: Synthetic = { layers: 24, imatrix: true }) {
  const analysis = syntheticAnalysis(synthetic);
  return makePlan({ analysis, sensitivity: uniformSensitivity(analysis), budget: { kind: "bpw", value } });
}

const longest = (text: string) => Math.max(...text.split("\n").map((line) => line.length));

describe("formatTable", () => {
  it("keeps an indented name that is too long on the line of its figures", () => {
    const name = "  Some-Model-8B-Instruct-UD-Q4_K_XL-of-somebody.gguf";
    const table = formatTable(
      [{ header: "" }, { header: "size", align: "right" }],
      [
        [name, "123"],
        ["> plan", "9"],
      ],
      40,
    );
    expect(table.split("\n").slice(1)).toEqual([
      expect.stringMatching(/^ {2}Some-Model.+….+somebody\.gguf {3}123$/),
      expect.stringMatching(/^> plan +9$/),
    ]);
  });

  it("aligns text left and numbers right, and lets a cell have several lines", () => {
    const table = formatTable(
      [{ header: "name" }, { header: "n", align: "right" }, { header: "x" }],
      [
        ["a", "1", "p\nq"],
        ["bcdef", "234", ""],
      ],
    );
    expect(table).toBe("name     n  x\na        1  p\n            q\nbcdef  234");
  });

  it("wraps at spaces and leaves a long word whole", () => {
    expect(wrapWords("aa bb cccccc d", 5)).toBe("aa bb\ncccccc\nd");
  });
});

describe("numbers", () => {
  it("are exact and the same everywhere", () => {
    expect(formatInteger(16928064)).toBe("16,928,064");
    expect(formatInteger(-1234)).toBe("-1,234");
    expect(formatDelta(999)).toBe("+999");
    expect(formatBytes(4_652_000_000)).toBe("4,652,000,000 bytes (4.65 GB)");
    expect(formatBytes(12)).toBe("12 bytes (0.01 kB)");
    expect(formatPercent(0.1234)).toBe("12.3 %");
    expect([0, 1.23456, 1e-5, 12345678].map(formatAmount)).toEqual(["0", "1.235", "1.000e-5", "1.235e+7"]);
  });
});

describe("renderAnalysisTable", () => {
  it("says why tensors have no metrics, and nothing of the kind where they have some", () => {
    const analysis = syntheticAnalysis({ layers: 2 });
    const [first, ...rest] = analysis.tensors.filter(({ eligible }) => eligible);
    if (first === undefined) throw new Error("no eligible tensor");
    const measured = rest.map((tensor) => ({ ...tensor, metrics: { spectralPosition: 0.5 } }));
    const { metrics: _, ...without } = first;
    const quantized = { ...without, omitted: { osqe: "source is quantized" } };
    const text = renderAnalysisTable({ ...analysis, tensors: [quantized, ...measured] });
    expect(text).toContain("\n-: 1 tensor without metrics: source is quantized\n");
    expect(renderAnalysisTable({ ...analysis, tensors: measured })).not.toContain("without metrics");
  });
});

describe("renderPlanTable", () => {
  it("fits 80 columns and accounts for every tensor and byte", () => {
    const made = plan(3.6);
    const text = renderPlanTable(made);
    expect(longest(text)).toBeLessThanOrEqual(80);
    expect(text).toContain(formatBytes(made.predicted.fileBytes));
    const total = /^total +(\d+) +([\d,]+) +100\.0 +100\.0$/m.exec(text);
    expect(total?.[1]).toBe(String(made.tensors.length));
    expect(total?.[2]).toBe(formatInteger(made.predicted.tensorBytes));
    expect(text).toMatch(/^ffn_down +24 /m);
    expect(text).toMatch(/^! not in the imatrix and quantized without it: token_embd, output$/m);
  });

  it("prints no control characters of names", () => {
    const made = plan(4);
    const hostile = { ...made, source: { ...made.source, name: "\u001b[2Jx\ny" } };
    expect(renderPlanTable(hostile)).toContain("?[2Jx?y");
    expect(renderPlanTable(hostile)).not.toContain("\u001b");
  });
});

describe("renderDiffTable", () => {
  it("shows totals, classes and tensors, and counts what it leaves out", () => {
    const diff = diffPlans(plan(3.5), plan(4.5));
    const text = renderDiffTable(diff, { maxTensors: 2 });
    expect(longest(text)).toBeLessThanOrEqual(80);
    expect(text).toContain(`and ${diff.changes.length - 2} more`);
    expect(text).toMatch(/^bits per weight +3\.\d{4} +4\.\d{4} +\+(0\.9|1\.0)\d{3}$/m);
    expect(renderDiffTable(diffPlans(plan(4), plan(4)))).toContain("no tensor changes its type");
  });
});

describe("renderExplanation", () => {
  it("says why, and marks the choice and its neighbours", () => {
    const made = plan(4);
    const text = renderExplanation(explainTensor(made, "output.weight"));
    expect(longest(text)).toBeLessThanOrEqual(80);
    expect(text).toContain("head: without a measurement not below Q6_K");
    expect(text).toMatch(/^\* +Q6_K +6\.5625 +0 /m);
    expect(text).toMatch(/ up$/m);
    expect(text).toMatch(/ down$/m);
    expect(renderExplanation(explainTensor(made, "blk.0.attn_norm.weight"))).toContain("leaves it alone");
  });
});
