import { describe, expect, it } from "vitest";
import type { Analysis } from "../../src/analyze/analysis.ts";
import { InfeasibleError } from "../../src/errors.ts";
import { fileBytes } from "../../src/ggml/file-bytes.ts";
import { FILE_TYPES } from "../../src/ggml/file-types.ts";
import { stockTypes } from "../../src/ggml/stock-mix.ts";
import { TENSOR_TYPES } from "../../src/ggml/tensor-types.ts";
import { makePlan, type PlanOptions } from "../../src/plan/make-plan.ts";
import { assignByPatterns } from "../../src/plan/patterns.ts";
import type { Plan } from "../../src/plan/plan.ts";
import { recostPlan } from "../../src/plan/recost.ts";
import { replan } from "../../src/plan/replan.ts";
import { planOverrides } from "../../src/plan/tensor-types.ts";
import { type Synthetic, syntheticAnalysis, uniformSensitivity } from "./synthetic-analysis.ts";

function plan(budget: PlanOptions["budget"], options: Partial<PlanOptions> = {}, synthetic: Synthetic = {}): Plan {
  const analysis = options.analysis ?? syntheticAnalysis(synthetic);
  return makePlan({ sensitivity: uniformSensitivity(analysis), createdAt: "2026-01-01", ...options, analysis, budget });
}

const bpw = (value: number) => ({ kind: "bpw", value }) as const;
const typeOf = (made: Plan, name: string) => made.tensors.find((tensor) => tensor.name === name)?.type;

describe("the budget", () => {
  it("in bits per weight is never exceeded, and used to a hundredth of a bit", () => {
    for (const value of [2.9, 3.5, 4, 4.5, 6.1]) {
      const made = plan(bpw(value), { guards: { head: false } });
      expect(made.predicted.bpw).toBeLessThanOrEqual(value);
      expect(made.predicted.bpw).toBeGreaterThan(value - 0.03);
      expect(made.predicted.fileBytes).toBeLessThanOrEqual(made.budget.fileBytes);
    }
  });

  it("in file bytes counts the header, the padding and the keys of an imatrix", () => {
    const limit = 1_900_000;
    const made = plan({ kind: "fileBytes", value: limit }, {}, { imatrix: true });
    expect(made.predicted.fileBytes).toBeLessThanOrEqual(limit);
    const without = fileBytes(made.facts.outputHeaderBytes, made.tensors);
    // file 57, dataset 57, entries 46, chunks 45 bytes and the padding of the header
    expect(made.predicted.fileBytes - without).toBeGreaterThan(150);
    expect(made.predicted.fileBytes - without).toBeLessThan(260);
  });

  it("like a preset is the file that preset gives", () => {
    const analysis = syntheticAnalysis();
    const sources = analysis.tensors.map(({ name, shape, sourceType }) => ({ name, shape, type: sourceType }));
    const types = stockTypes(analysis.facts, sources, "Q3_K_M");
    const preset = sources.map(({ name, shape, type }) => ({ shape, type: types.get(name) ?? type }));
    const made = plan({ kind: "like", fileType: "Q3_K_M" });
    expect(made.budget).toEqual({ text: "--like Q3_K_M", fileBytes: fileBytes(12_345, preset) });
    expect(made.predicted.fileBytes).toBeLessThanOrEqual(made.budget.fileBytes);
  });

  it("that can't be met names what was asked and the possible range, in file bytes and bits per weight", () => {
    const least = plan({ kind: "fileBytes", value: 1e9 });
    let error: unknown;
    try {
      plan({ kind: "fileBytes", value: 500_000 });
    } catch (caught) {
      error = caught;
    }
    expect(error).toBeInstanceOf(InfeasibleError);
    const { possible, message } = error as InfeasibleError;
    expect(message).toContain("500,000 bytes");
    expect(message).toMatch(/2\.6\d\d to 1[56]\.\d+ bits per weight/);
    expect(possible?.maxBytes).toBe(least.predicted.fileBytes);
    const smallest = plan({ kind: "fileBytes", value: possible?.minBytes ?? 0 });
    expect(smallest.predicted.fileBytes).toBe(possible?.minBytes);
  });

  it("that is no number is refused", () => {
    expect(() => plan(bpw(Number.NaN))).toThrow(/positive number/);
  });
});

describe("types", () => {
  it("are those that the plan's own patterns assign, for every eligible tensor", () => {
    for (const mode of ["tensor", "class"] as const) {
      const made = plan(bpw(3.9), { mode }, { imatrix: true, layers: 12 });
      const eligible = made.tensors.filter(({ reason }) => reason !== "ineligible");
      const assigned = assignByPatterns(
        made.tensors.map(({ name }) => name),
        planOverrides(made),
      );
      expect(Object.fromEntries(assigned)).toEqual(Object.fromEntries(eligible.map(({ name, type }) => [name, type])));
      expect(new Set(assigned.values()).size).toBeGreaterThan(1);
    }
  });

  it("of tensors that llama-quantize leaves alone stay those of the source", () => {
    const norm = plan(bpw(4)).tensors.find(({ name }) => name === "output_norm.weight");
    expect(norm).toMatchObject({ type: "F32", reason: "ineligible", bytes: 1024 });
  });

  it("that need importance values are not offered without them", () => {
    const analysis = syntheticAnalysis({ imatrix: true });
    const { imatrix: _, ...bare } = analysis;
    const tensors = bare.tensors.map(({ importance: __, ...tensor }) => tensor);
    const made = plan(bpw(3), { analysis: { ...bare, tensors }, guards: { head: false } });
    for (const { name, type } of made.tensors.filter(({ reason }) => reason !== "ineligible")) {
      if (name.startsWith("blk.")) expect([name, TENSOR_TYPES[type].importance]).not.toEqual([name, "required"]);
    }
  });

  it("only fit rows: 288 elements get blocks of 32, with the reason", () => {
    const made = plan(bpw(6), {}, { width: 288 });
    const tensor = made.tensors.find(({ name }) => name === "blk.1.attn_q.weight");
    expect(["Q4_0", "IQ4_NL", "Q4_1", "Q5_0", "Q5_1", "Q8_0"]).toContain(tensor?.type);
    expect(tensor).toMatchObject({ reason: "fallback" });
  });
});

describe("constraints", () => {
  it("pin, floor and tie with their reasons", () => {
    const made = plan(bpw(4), {
      constraints: [
        { kind: "pin", pattern: "blk\\.0\\.attn_v", type: "Q8_0" },
        { kind: "floor", pattern: "ffn_down", type: "Q6_K" },
        { kind: "tie", pattern: "attn_(q|k)\\.weight" },
      ],
    });
    expect(made.tensors.find(({ name }) => name === "blk.0.attn_v.weight")).toMatchObject({
      type: "Q8_0",
      reason: "pin",
    });
    const downs = made.tensors.filter((tensor) => tensor.class === "ffn_down");
    expect(downs.every(({ type, reason }) => type === "Q6_K" && reason === "floor")).toBe(true);
    const tied = made.tensors.filter((tensor) => /attn_(q|k)$/.test(tensor.class));
    expect(new Set(tied.map(({ type }) => type)).size).toBe(1);
    expect(tied[0]).toMatchObject({ reason: "tied" });
  });

  it("can pin a type that was not measured, and the plan says that its loss is unknown", () => {
    const made = plan(bpw(5), { constraints: [{ kind: "pin", pattern: "^output\\.weight$", type: "Q5_1" }] });
    const output = made.tensors.find(({ name }) => name === "output.weight");
    expect(output).toMatchObject({ type: "Q5_1", reason: "pin" });
    expect(output).not.toHaveProperty("distortion");
    expect(made.warnings.join()).toContain("was not measured");
  });

  it("keep the head at its type in the preset of these bytes, unless told otherwise", () => {
    for (const tied of [false, true]) {
      const name = tied ? "token_embd.weight" : "output.weight";
      const guarded = plan({ kind: "like", fileType: "Q3_K_M" }, {}, { tied });
      expect(guarded.tensors.find((tensor) => tensor.name === name)).toMatchObject({ type: "Q6_K", reason: "floor" });
      expect(guarded.constraints).toContainEqual(
        expect.objectContaining({ kind: "floor", type: "Q6_K", builtIn: true }),
      );
      const free = plan({ kind: "like", fileType: "Q3_K_M" }, { guards: { head: false } }, { tied });
      expect(typeOf(free, name)).not.toBe("Q6_K");
      expect(free.predicted.loss).toBeLessThan(guarded.predicted.loss);
    }
  });

  it("give up the head guard with a warning where the budget can't hold it", () => {
    const made = plan(bpw(2.75));
    expect(made.warnings[0]).toMatch(/^given up for the budget: the head guard, floor Q6_K on \^output/);
    expect(made.predicted.bpw).toBeLessThanOrEqual(2.75);
    expect(made.constraints).toEqual([]);
  });

  it("let the user's pin on the head win over the guard", () => {
    const made = plan(bpw(4), { constraints: [{ kind: "pin", pattern: "^output\\.weight$", type: "Q2_K" }] });
    expect(made.tensors.find(({ name }) => name === "output.weight")).toMatchObject({ type: "Q2_K", reason: "pin" });
  });

  it("pin rank heads to F16 and floor MTP blocks, and say that no evaluation sees those", () => {
    const made = plan(bpw(4), {}, { nextnLayers: 1, extra: { "cls.output.weight": [256, 2] } });
    expect(made.tensors.find(({ name }) => name === "cls.output.weight")).toMatchObject({ type: "F16", reason: "pin" });
    const mtp = made.tensors.filter(({ layer, reason }) => layer === 3 && reason !== "ineligible");
    expect(mtp.length).toBe(7);
    expect(mtp.every(({ type }) => TENSOR_TYPES[type].blockBytes / TENSOR_TYPES[type].blockElements >= 210 / 256)).toBe(
      true,
    );
    expect(made.warnings.join()).toContain("MTP");
  });

  it("with a broken pattern are refused as the user's mistake", () => {
    expect(() => plan(bpw(4), { constraints: [{ kind: "pin", pattern: "(", type: "Q4_K" }] })).toThrow(
      /regular expression/,
    );
  });
});

describe("the document", () => {
  it("adds up: shares to one, loss to the sum, bound below the loss", () => {
    const made = plan(bpw(4));
    const sum = made.tensors.reduce((total, { lossShare = 0 }) => total + lossShare, 0);
    expect(sum).toBeCloseTo(1, 12);
    const loss = made.tensors.reduce(
      (total, { sensitivity = 0, distortion = 0 }) => total + sensitivity * distortion,
      0,
    );
    expect(made.predicted.loss).toBeCloseTo(loss, 12);
    expect(made.predicted.lowerBound).toBeLessThanOrEqual(loss);
    expect(made.predicted.gap).toBeLessThan(0.05);
  });

  it("tells a step up and down that cost and bring something", () => {
    for (const tensor of plan(bpw(4)).tensors.filter(({ reason }) => reason === "budget")) {
      const loss = (tensor.sensitivity ?? 0) * (tensor.distortion ?? 0);
      if (tensor.up) expect(tensor.up.bytes > tensor.bytes && tensor.up.loss < loss).toBe(true);
      if (tensor.down) expect(tensor.down.bytes < tensor.bytes && tensor.down.loss > loss).toBe(true);
      expect(tensor.up ?? tensor.down).toBeDefined();
    }
  });

  it("names the preset of its size as its base, and a quantized one whatever its size", () => {
    for (const fileType of ["Q2_K", "Q3_K_M", "Q4_K_M", "Q5_K_M", "Q6_K"] as const) {
      expect(plan({ kind: "like", fileType }).baseFileType).toBe(fileType);
    }
    const whole = plan(bpw(17));
    expect(FILE_TYPES[whole.baseFileType].defaultType).toBe("Q8_0");
  });

  it("does not depend on the order of the tensors", () => {
    const analysis = syntheticAnalysis();
    const reversed = { ...analysis, tensors: [...analysis.tensors].reverse() };
    const types = (made: Plan) => Object.fromEntries(made.tensors.map(({ name, type }) => [name, type]));
    expect(types(plan(bpw(3.7), { analysis: reversed }))).toEqual(types(plan(bpw(3.7), { analysis })));
  });

  it("warns below 2.6 bits per weight and of a quantized source", () => {
    expect(plan(bpw(2.3), { guards: { head: false } }, { imatrix: true }).warnings.join()).toContain(
      "no longer adds up",
    );
    expect(plan(bpw(4), {}, { sourceType: "Q8_0" }).warnings.join()).toContain("already quantized");
    expect(plan(bpw(4)).warnings).toEqual([]);
  });

  it("is refused when the sensitivity lacks a tensor", () => {
    const analysis = syntheticAnalysis();
    const full = uniformSensitivity(analysis);
    const values = new Map([...full.values].filter(([name]) => name !== "blk.2.ffn_up.weight"));
    expect(() => plan(bpw(4), { analysis, sensitivity: { ...full, values } })).toThrow(/blk\.2\.ffn_up\.weight/);
  });
});

describe("what error feedback leaves", () => {
  /** The analysis, where feedback leaves a tenth of every error of one class. */
  function mended(pattern: RegExp): Analysis {
    const analysis = syntheticAnalysis();
    const tensors = analysis.tensors.map((tensor) => {
      if (!pattern.test(tensor.name) || tensor.distortion === undefined) return tensor;
      const estimates = Object.entries(tensor.distortion).map(([type, estimate]) => [
        type,
        { ...estimate, feedback: 0.1 },
      ]);
      return { ...tensor, distortion: Object.fromEntries(estimates) };
    });
    return { ...analysis, feedback: { text: "2 files" }, tensors };
  }
  const bitsOf = (made: Plan, pattern: RegExp) =>
    made.tensors.filter(({ name }) => pattern.test(name)).reduce((sum, { bytes }) => sum + bytes, 0);

  it("is what a plan counts with: bytes go where it can't mend", () => {
    const [plain, coded] = [plan(bpw(4)), plan(bpw(4), { analysis: mended(/ffn_down/) })];
    expect(bitsOf(coded, /ffn_down/)).toBeLessThan(bitsOf(plain, /ffn_down/));
    expect(bitsOf(coded, /ffn_up/)).toBeGreaterThanOrEqual(bitsOf(plain, /ffn_up/));
    expect(coded.predicted.loss).toBeLessThan(plain.predicted.loss);
    expect([plain.feedback, coded.feedback]).toEqual([undefined, { text: "2 files" }]);
  });

  it("stays in the plan when it is priced or planned anew", () => {
    const analysis = mended(/ffn_down/);
    const coded = plan(bpw(4), { analysis });
    expect(recostPlan(coded, analysis).predicted).toEqual(coded.predicted);
    expect(replan(coded, { budget: bpw(4), createdAt: "2026-01-01" })).toEqual(coded);
  });
});
