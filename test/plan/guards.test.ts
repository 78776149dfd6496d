import { describe, expect, it } from "vitest";
import type { Analysis } from "../../src/analyze/analysis.ts";
import { bitsPerWeight, type TensorType } from "../../src/ggml/tensor-types.ts";
import { type GuardSwitches, YIELDING } from "../../src/plan/guards.ts";
import { makePlan, type PlanOptions } from "../../src/plan/make-plan.ts";
import type { Plan } from "../../src/plan/plan.ts";
import { syntheticAnalysis, uniformSensitivity } from "./synthetic-analysis.ts";

function plan(analysis: Analysis, value: number, options: Partial<PlanOptions> = {}): Plan {
  return makePlan({
    analysis,
    sensitivity: uniformSensitivity(analysis),
    budget: { kind: "bpw", value },
    createdAt: "2026-01-01",
    ...options,
  });
}

const only = (guard: (typeof YIELDING)[number]): GuardSwitches =>
  Object.fromEntries(YIELDING.map((name) => [name, name === guard]));
const bits = (plan: Plan, name: string): number => {
  const found = plan.tensors.find((tensor) => tensor.name === name);
  return bitsPerWeight(found?.type as TensorType);
};

/** Every D of the classes that match is `factor` times as large. */
function noisier(analysis: Analysis, pattern: RegExp, factor: number): Analysis {
  const tensors = analysis.tensors.map((tensor) => {
    if (tensor.distortion === undefined || !pattern.test(tensor.name)) return tensor;
    const distortion = Object.fromEntries(
      Object.entries(tensor.distortion).map(([type, { value, se }]) => [type, { value: value * factor, se }]),
    );
    return { ...tensor, distortion };
  });
  return { ...analysis, tensors };
}

describe("the noise guard", () => {
  // D = 4^-bits: Q2_K 0.026, Q3_K 0.0085; ten times that puts Q2_K beyond 0.126
  const analysis = noisier(syntheticAnalysis(), /ffn_up/, 10);

  it("keeps a tensor from types with less than 9 dB, and is the reason in the plan", () => {
    const sensitivity = uniformSensitivity(analysis);
    const values = new Map([...sensitivity.values].map(([name, s]) => [name, /ffn_up/.test(name) ? s * 1e-6 : s]));
    const guarded = plan(analysis, 3.5, { sensitivity: { ...sensitivity, values }, guards: only("noise") });
    const up = guarded.tensors.find(({ name }) => name === "blk.1.ffn_up.weight");
    expect(up).toMatchObject({ reason: "floor" });
    expect(up?.note).toContain("9 dB");
    expect(up?.distortion).toBeLessThanOrEqual(0.126);
    expect(guarded.constraints).toHaveLength(1);
    const free = plan(analysis, 3.5, { sensitivity: { ...sensitivity, values }, guards: only("head") });
    expect(bits(free, "blk.1.ffn_up.weight")).toBeLessThan(bits(guarded, "blk.1.ffn_up.weight"));
  });

  it("lets a user's pin through", () => {
    const made = plan(analysis, 3.5, { constraints: [{ kind: "pin", pattern: "ffn_up", type: "Q2_K" }] });
    expect(made.tensors.find(({ name }) => name === "blk.1.ffn_up.weight")).toMatchObject({ type: "Q2_K" });
  });
});

describe("the small guard", () => {
  const analysis = syntheticAnalysis({
    extra: { "blk.0.ssm_beta.weight": [256, 8], "blk.1.ssm_beta.weight": [256, 8] },
  });

  const uniform = uniformSensitivity(analysis);
  const values = new Map([...uniform.values].map(([name, s]) => [name, /ssm/.test(name) ? 0 : s]));
  const sensitivity = { ...uniform, values };

  it("keeps classes with next to none of the weights at Q8_0 or more", () => {
    const made = plan(analysis, 3.5, { sensitivity });
    expect(bits(made, "blk.0.ssm_beta.weight")).toBeGreaterThanOrEqual(8.5);
    expect(made.tensors.find(({ name }) => name === "blk.1.ssm_beta.weight")?.note).toMatch(
      /^small guard: ssm_beta is/,
    );
    const free = plan(analysis, 3.5, { sensitivity, guards: { small: false } });
    expect(bits(free, "blk.0.ssm_beta.weight")).toBeLessThan(8.5);
  });

  it("gives way to bans that leave nothing above it", () => {
    const constraints = (["Q8_0", "F16"] as const).map((type) => ({ kind: "ban" as const, pattern: ".", type }));
    expect(bits(plan(analysis, 3.5, { sensitivity, constraints }), "blk.0.ssm_beta.weight")).toBeLessThan(8.5);
  });
});

describe("a budget that is possible without guards", () => {
  it("is never made impossible by them, and what is given up is said", () => {
    const analysis = noisier(syntheticAnalysis({ nextnLayers: 1 }), /attn|ffn/, 10);
    const least = plan(analysis, 2.64, { guards: { head: false, noise: false, small: false, mtp: false } });
    const guarded = plan(analysis, 2.64);
    expect(guarded.predicted.bpw).toBeLessThanOrEqual(2.64);
    expect(guarded.predicted.fileBytes).toBe(least.predicted.fileBytes);
    const given = guarded.warnings.filter((warning) => warning.startsWith("given up for the budget"));
    expect(given.map((warning) => /the (\w+) guard/.exec(warning)?.[1])).toEqual(["head", "noise", "mtp"]);
  });

  it("gives up no more than it must", () => {
    const made = plan(syntheticAnalysis({ nextnLayers: 1 }), 2.75, {});
    expect(made.warnings.filter((warning) => warning.startsWith("given up")).join()).toMatch(/head guard/);
  });
});

it("no tensor gets a type that is worse than a smaller one", () => {
  const analysis = noisier(syntheticAnalysis(), /attn_v/, 1);
  const tensors = analysis.tensors.map((tensor) => {
    const { distortion } = tensor;
    if (distortion?.Q4_K === undefined || distortion.Q3_K === undefined) return tensor;
    return { ...tensor, distortion: { ...distortion, Q4_K: { value: 2 * distortion.Q3_K.value, se: 0 } } };
  });
  for (const mode of ["tensor", "class"] as const) {
    const made = plan({ ...analysis, tensors }, 4.5, { mode });
    expect(made.tensors.some(({ type }) => type === "Q4_K")).toBe(false);
  }
});
