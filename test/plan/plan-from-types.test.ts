import { describe, expect, it } from "vitest";
import { UsageError } from "../../src/errors.ts";
import type { TensorType } from "../../src/ggml/tensor-types.ts";
import { makePlan } from "../../src/plan/make-plan.ts";
import { planFromTypes } from "../../src/plan/plan-from-types.ts";
import { readPlan } from "../../src/plan/read-plan.ts";
import { syntheticAnalysis, uniformSensitivity } from "./synthetic-analysis.ts";

const analysis = syntheticAnalysis();
const sensitivity = uniformSensitivity(analysis);
const all = (type: TensorType, of = analysis) =>
  new Map(of.tensors.filter(({ eligible }) => eligible).map(({ name }) => [name, type]));

describe("planFromTypes", () => {
  it("prices a uniform type, which the allocator beats or equals at the same bytes", () => {
    const uniform = planFromTypes({ analysis, sensitivity, types: all("Q4_K"), text: "uniform Q4_K" });
    expect(uniform).toMatchObject({ mode: "recipe", baseFileType: "Q4_K_M" });
    expect(
      uniform.tensors.every(({ type, reason }) => (reason === "ineligible" ? type === "F32" : type === "Q4_K")),
    ).toBe(true);
    const budget = { kind: "fileBytes", value: uniform.predicted.fileBytes } as const;
    const planned = makePlan({ analysis, sensitivity, budget, guards: { head: false } });
    expect(planned.predicted.loss).toBeLessThan(uniform.predicted.loss);
    expect(uniform.predicted.lowerBound).toBeCloseTo(planned.predicted.lowerBound, 9);
  });

  it("survives being written and read", () => {
    const uniform = planFromTypes({
      analysis,
      sensitivity,
      types: all("Q5_K"),
      text: "uniform Q5_K",
      baseFileType: "Q5_K_M",
    });
    expect(readPlan(JSON.stringify(uniform), "u.json")).toEqual(uniform);
  });

  it("falls back as llama-quantize does, and refuses what it refuses", () => {
    const narrow = syntheticAnalysis({ width: 288 });
    const options = { analysis: narrow, sensitivity: uniformSensitivity(narrow), text: "x" };
    const made = planFromTypes({ ...options, types: all("Q4_K", narrow) });
    expect(made.tensors.find(({ name }) => name === "blk.0.attn_q.weight")?.type).toBe("Q5_0");
    expect(() => planFromTypes({ analysis, sensitivity, types: all("IQ2_XS"), text: "x" })).toThrow(UsageError);
  });
});
