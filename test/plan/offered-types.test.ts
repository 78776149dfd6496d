import { describe, expect, it } from "vitest";
import type { TensorType } from "../../src/ggml/tensor-types.ts";
import { makePlan, type PlanOptions } from "../../src/plan/make-plan.ts";
import { parseTypes } from "../../src/plan/offered-types.ts";
import type { Plan } from "../../src/plan/plan.ts";
import { recostPlan } from "../../src/plan/recost.ts";
import { replan } from "../../src/plan/replan.ts";
import { type Synthetic, syntheticAnalysis, uniformSensitivity } from "./synthetic-analysis.ts";

function plan(types: readonly TensorType[], options: Partial<PlanOptions> = {}, synthetic: Synthetic = {}): Plan {
  const analysis = options.analysis ?? syntheticAnalysis(synthetic);
  const budget = options.budget ?? { kind: "bpw", value: 5 };
  return makePlan({
    sensitivity: uniformSensitivity(analysis),
    createdAt: "2026-01-01",
    ...options,
    analysis,
    budget,
    types,
  });
}

const chosen = ({ tensors }: Plan) =>
  new Set(tensors.filter(({ reason }) => reason !== "ineligible").map(({ type }) => type));

describe("a list of types", () => {
  it("is read in any case and order, with commas or given again, and without doubles", () => {
    expect(parseTypes(["q6_k,Q4_K", " q8_0 ", "Q4_K"])).toEqual(["Q4_K", "Q6_K", "Q8_0"]);
  });

  it("with a name that is no type, or one that nothing can be quantized to, is refused with the list", () => {
    expect(() => parseTypes(["Q4_K,Q9_K"])).toThrow(/--types "Q9_K": expected one or more of .*Q4_K.*Q8_0/);
    expect(() => parseTypes(["Q8_1"])).toThrow(/--types "Q8_1"/);
    expect(() => parseTypes(["Q4_K_M"])).toThrow(/not a preset/);
    expect(() => parseTypes([""])).toThrow(/--types ""/);
  });
});

describe("a plan of some types", () => {
  it("has no others, and its steps lead to no others, in either mode", () => {
    for (const mode of ["tensor", "class"] as const) {
      const made = plan(["Q4_K", "Q6_K"], { mode });
      expect([...chosen(made)].sort()).toEqual(["Q4_K", "Q6_K"]);
      for (const { up, down } of made.tensors) {
        for (const step of [up, down]) if (step) expect(["Q4_K", "Q6_K"]).toContain(step.type);
      }
      expect(made.types).toEqual(["Q4_K", "Q6_K"]);
    }
  });

  it("is the same planned anew and priced anew, and replanned keeps to them", () => {
    const made = plan(["Q3_K", "Q5_K"], { budget: { kind: "bpw", value: 4.5 } });
    expect(replan(made, { budget: { kind: "bpw", value: 4.5 }, createdAt: made.createdAt })).toEqual(made);
    expect(recostPlan(made)).toEqual(made);
    expect([...chosen(replan(made, { budget: { kind: "bpw", value: 3.6 } }))].sort()).toEqual(["Q3_K", "Q5_K"]);
  });

  it("lowers PRISM's own floors to the largest of them, and says so", () => {
    const made = plan(["Q2_K", "Q3_K"], { budget: { kind: "bpw", value: 3.4 } });
    expect([...chosen(made)].sort()).toEqual(["Q2_K", "Q3_K"]);
    expect(made.warnings.join("\n")).toMatch(/types allowed: the \w+ guard wants Q\w+ on .*; Q3_K is the largest/);
    expect(recostPlan(made).warnings).toEqual(made.warnings);
  });

  it("takes what llama-quantize falls back to where rows fit none of them", () => {
    const analysis = syntheticAnalysis();
    const narrow = {
      ...analysis,
      tensors: analysis.tensors.map((tensor) =>
        tensor.name === "blk.0.ffn_up.weight"
          ? {
              ...tensor,
              shape: [96, tensor.elements / 96],
              distortion: { Q5_0: { value: 0.002, se: 0 }, Q8_0: { value: 1e-5, se: 0 }, F16: { value: 0, se: 0 } },
            }
          : tensor,
      ),
    };
    const made = plan(["Q4_K"], { analysis: narrow });
    const fallen = made.tensors.find(({ name }) => name === "blk.0.ffn_up.weight");
    expect(fallen).toMatchObject({ type: "Q5_0", reason: "fallback" });
    expect(fallen?.note).toMatch(/fit none of --types/);
    expect([...chosen(made)].sort()).toEqual(["Q4_K", "Q5_0"]);
  });

  it("lets a pin name another type, and a floor of the user's none", () => {
    const pin = { kind: "pin", pattern: "blk.0.attn_v", type: "Q8_0" } as const;
    expect(plan(["Q4_K"], { constraints: [pin] }).tensors.find(({ reason }) => reason === "pin")?.type).toBe("Q8_0");
    const floor = { ...pin, kind: "floor" } as const;
    expect(() => plan(["Q4_K"], { constraints: [floor] })).toThrow(/leave no type/);
  });

  it("that needs an importance matrix and has none is refused", () => {
    expect(() => plan(["IQ2_XXS"])).toThrow(/--types IQ2_XXS: .* without an importance matrix/);
  });

  it("that is too large for the budget says that smaller types would do", () => {
    expect(() => plan(["Q6_K"])).toThrow(/allow smaller --types/);
  });
});
