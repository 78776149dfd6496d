import { describe, expect, it } from "vitest";
import { FormatError, UsageError } from "../../src/errors.ts";
import { makePlan, type PlanOptions } from "../../src/plan/make-plan.ts";
import type { Plan, PlanTensor } from "../../src/plan/plan.ts";
import { readPlan } from "../../src/plan/read-plan.ts";
import { recostPlan } from "../../src/plan/recost.ts";
import { type Synthetic, syntheticAnalysis, uniformSensitivity } from "./synthetic-analysis.ts";

function plan(synthetic: Synthetic = {}, options: Partial<PlanOptions> = {}): Plan {
  const analysis = syntheticAnalysis(synthetic);
  return makePlan({
    analysis,
    sensitivity: uniformSensitivity(analysis),
    budget: { kind: "bpw", value: 4 },
    ...options,
  });
}

/** The plan with one tensor changed, as an editor would leave it. */
function edit(made: Plan, name: string, change: Partial<PlanTensor>): Plan {
  return { ...made, tensors: made.tensors.map((tensor) => (tensor.name === name ? { ...tensor, ...change } : tensor)) };
}

const read = (made: unknown) => readPlan(JSON.stringify(made), "plan.json");

describe("readPlan", () => {
  it("gives back what was written, tensor mode and class mode, with and without imatrix", () => {
    const made = [
      plan(),
      plan({ imatrix: true }, { mode: "class" }),
      plan({}, { budget: { kind: "like", fileType: "Q4_K_S" } }),
      plan({ nextnLayers: 1 }, { constraints: [{ kind: "pin", pattern: "^output", type: "Q5_1" }] }),
      plan({}, { budget: { kind: "bpw", value: 2.75 } }),
    ];
    for (const one of made) expect(read(one)).toEqual(one);
  });

  it("never trusts the predictions in the file", () => {
    const made = plan();
    const lie = { ...made, predicted: { ...made.predicted, fileBytes: 1, bpw: 0.1, loss: 0, lowerBound: 9, gap: 0 } };
    expect(read(lie)).toEqual(made);
  });

  it("says what is wrong, in which tensor, and what is allowed", () => {
    const made = plan();
    expect(() => readPlan("{", "p.json")).toThrow(/^p\.json: a plan that is cut off at byte 1,/);
    expect(() => read({ schema: "prism.analysis/1" })).toThrow(/expected a plan.*prism\.analysis\/1/);
    expect(() => read([])).toThrow(/expected a plan/);
    expect(() => read(edit(made, "blk.1.ffn_up.weight", { type: "Q4_K_M" as never }))).toThrow(
      /tensors\[\d+\]\.type \("blk\.1\.ffn_up\.weight"\): expected one of .*Q4_K,.*got the text "Q4_K_M"/,
    );
    const { budget: _, ...noBudget } = made;
    expect(() => read(noBudget)).toThrow(/budget: expected an object, got nothing/);
    expect(() => read({ ...made, tensors: [...made.tensors, made.tensors[0]] })).toThrow(/listed twice/);
  });

  it("refuses hostile documents as damaged files", () => {
    const made = plan();
    const hostile = [
      edit(made, "blk.0.attn_k.weight", { name: "blk.0.attn_k.weight\nrm -rf" }),
      edit(made, "blk.0.attn_k.weight", { name: "\u001b[2J" }),
      edit(made, "blk.0.attn_k.weight", { shape: [1e300, 2] }),
      edit(made, "blk.0.attn_k.weight", { elements: 7 }),
      edit(made, "blk.0.attn_k.weight", { class: "output" }),
      edit(made, "blk.0.attn_k.weight", { sensitivity: -1 }),
      edit(made, "blk.0.attn_k.weight", { options: JSON.parse('{"__proto__": 1}') }),
      edit(made, "output_norm.weight", { shape: [2 ** 53 - 1, 2 ** 53 - 1] }),
      { ...made, tensors: [] },
      { ...made, tensors: new Array(200_001).fill(1) },
      { ...made, facts: { ...made.facts, layers: 1.5 } },
    ];
    for (const document of hostile) expect(() => read(document)).toThrow(FormatError);
  });

  it("refuses a base that makes llama-quantize ignore every override", () => {
    for (const baseFileType of ["F16", "Q2_K_S", "IQ2_XXS"] as const) {
      expect(() => read({ ...plan(), baseFileType })).toThrow(/can't carry overrides/);
    }
  });
});

describe("recostPlan", () => {
  it("prices an edited type: bytes, loss, reason, mode", () => {
    const made = plan();
    const name = "blk.1.ffn_down.weight";
    const before = made.tensors.find((tensor) => tensor.name === name);
    const after = read(edit(made, name, { type: "Q8_0" }));
    const tensor = after.tensors.find((one) => one.name === name);
    expect(tensor).toMatchObject({ type: "Q8_0", bytes: (768 * 256 * 34) / 32, reason: "edited" });
    expect(tensor?.distortion).toBe(before?.options?.Q8_0);
    expect(after.mode).toBe("edited");
    expect(after.predicted.tensorBytes - made.predicted.tensorBytes).toBe((tensor?.bytes ?? 0) - (before?.bytes ?? 0));
    expect(after.predicted.loss).toBeLessThan(made.predicted.loss);
    expect(after.predicted.lowerBound).toBeLessThanOrEqual(after.predicted.loss);
    expect(after.warnings.join()).toContain("over the budget");
  });

  it("notices an edit between types of the same size", () => {
    const made = plan({}, { constraints: [{ kind: "pin", pattern: "blk.1.ffn_down", type: "Q3_K" }] });
    const after = read(edit(made, "blk.1.ffn_down.weight", { type: "IQ3_S" }));
    expect(after.tensors.find(({ name }) => name === "blk.1.ffn_down.weight")).toMatchObject({ reason: "edited" });
  });

  it("takes back an edit to the same plan but for the label", () => {
    const made = plan();
    const original = made.tensors.find(({ name }) => name === "blk.1.ffn_down.weight");
    const there = read(edit(made, "blk.1.ffn_down.weight", { type: "Q8_0" }));
    const back = read(edit(there, "blk.1.ffn_down.weight", { type: original?.type as never }));
    expect(back.predicted.fileBytes).toBe(made.predicted.fileBytes);
    expect(back.predicted.loss).toBe(made.predicted.loss);
  });

  it("refuses types the tensor can't have, naming the tensor, the type and the possible ones", () => {
    const cases = [
      [plan(), "blk.1.ffn_up.weight", "Q8_K", /blk\.1\.ffn_up\.weight: Q8_K .*can't produce.*Q4_K/],
      [plan(), "blk.1.ffn_up.weight", "IQ2_XS", /blk\.1\.ffn_up\.weight: IQ2_XS .*importance.*Q2_K/],
      [plan({ imatrix: true }), "token_embd.weight", "IQ2_XS", /importance/],
      [
        plan({ width: 288 }, { budget: { kind: "bpw", value: 6 } }),
        "blk.1.ffn_up.weight",
        "Q4_K",
        /rows of 288 .*Q5_0/,
      ],
      [plan(), "output_norm.weight", "Q8_0", /output_norm\.weight: Q8_0 .*it stays F32 \(one-dimensional\)/],
    ] as const;
    for (const [made, name, type, message] of cases) {
      expect(() => recostPlan(edit(made, name, { type }))).toThrow(UsageError);
      expect(() => recostPlan(edit(made, name, { type }))).toThrow(message);
    }
    expect(() => recostPlan(edit(plan({ imatrix: true }), "blk.1.ffn_up.weight", { type: "IQ2_XS" }))).not.toThrow();
  });

  it("leaves an unmeasured type out of the loss and says so, unless an analysis knows it", () => {
    const made = plan();
    const edited = edit(made, "blk.1.ffn_up.weight", { type: "Q5_1" });
    const after = recostPlan(edited);
    expect(after.warnings.join()).toContain("was not measured");
    const analysis = syntheticAnalysis();
    const tensors = analysis.tensors.map((tensor) =>
      tensor.name === "blk.1.ffn_up.weight"
        ? { ...tensor, distortion: { ...tensor.distortion, Q5_1: { value: 0.25, se: 0 } } }
        : tensor,
    );
    const known = recostPlan(edited, { ...analysis, tensors });
    expect(known.tensors.find(({ name }) => name === "blk.1.ffn_up.weight")?.distortion).toBe(0.25);
    expect(known.warnings.join()).not.toContain("was not measured");
    expect(() => recostPlan(edited, { ...analysis, model: { ...analysis.model, headerHash: "cd" } })).toThrow(
      UsageError,
    );
  });
});
