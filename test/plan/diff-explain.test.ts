import { describe, expect, it } from "vitest";
import { UsageError } from "../../src/errors.ts";
import { diffPlans } from "../../src/plan/diff.ts";
import { explainTensor } from "../../src/plan/explain.ts";
import { makePlan, type PlanOptions } from "../../src/plan/make-plan.ts";
import { syntheticAnalysis, uniformSensitivity } from "./synthetic-analysis.ts";

function plan(value: number, options: Partial<PlanOptions> = {}) {
  const analysis = syntheticAnalysis();
  return makePlan({ analysis, sensitivity: uniformSensitivity(analysis), budget: { kind: "bpw", value }, ...options });
}

describe("diffPlans", () => {
  it("of a plan with itself is empty", () => {
    const diff = diffPlans(plan(4), plan(4));
    expect(diff).toMatchObject({
      sameModel: true,
      comparable: true,
      changes: [],
      classes: [],
      onlyAfter: [],
      onlyBefore: [],
    });
  });

  it("adds up to the difference of the totals, per tensor and per class", () => {
    const [before, after] = [plan(3.5), plan(4.5)];
    const diff = diffPlans(before, after);
    const bytes = after.predicted.tensorBytes - before.predicted.tensorBytes;
    const loss = after.predicted.loss - before.predicted.loss;
    for (const parts of [diff.changes, diff.classes]) {
      expect(parts.reduce((sum, { bytesDelta }) => sum + bytesDelta, 0)).toBe(bytes);
      expect(parts.reduce((sum, { lossDelta = Number.NaN }) => sum + lossDelta, 0)).toBeCloseTo(loss, 9);
    }
    expect(diff.changes.length).toBeGreaterThan(3);
  });

  it("compares no losses of different sensitivities", () => {
    const analysis = syntheticAnalysis();
    const sensitivity = { ...uniformSensitivity(analysis), version: "other/1" };
    const diff = diffPlans(plan(3.5), plan(4.5, { sensitivity }));
    expect(diff.comparable).toBe(false);
    expect(diff.changes.every((change) => !("lossDelta" in change))).toBe(true);
  });
});

describe("explainTensor", () => {
  it("lists every option with what it costs, and marks the one that was chosen", () => {
    const made = plan(4);
    const explained = explainTensor(made, "blk.2.ffn_up.weight");
    expect(explained.options.filter(({ chosen }) => chosen).map(({ type }) => type)).toEqual([explained.tensor.type]);
    expect(explained.options.map(({ bytes }) => bytes)).toEqual(
      explained.options.map(({ bytes }) => bytes).sort((a, b) => a - b),
    );
    const useful = explained.options.filter(({ dominated }) => !dominated).map(({ loss }) => loss);
    expect(useful).toEqual([...useful].sort((a, b) => b - a));
    expect(useful.length).toBeLessThan(explained.options.length);
  });

  it("shows the constraints that apply", () => {
    const made = plan(4, { constraints: [{ kind: "floor", pattern: "ffn_up", type: "Q4_K" }] });
    expect(explainTensor(made, "blk.2.ffn_up.weight").constraints).toMatchObject([
      { kind: "floor", pattern: "ffn_up" },
    ]);
    expect(explainTensor(made, "output.weight").constraints).toMatchObject([{ kind: "floor", builtIn: true }]);
  });

  it("suggests the nearest names for one it doesn't know", () => {
    expect(() => explainTensor(plan(4), "blk.2.ffn_upp")).toThrow(UsageError);
    expect(() => explainTensor(plan(4), "blk.2.ffn_upp")).toThrow(/did you mean blk\.2\.ffn_up\.weight/);
  });
});
