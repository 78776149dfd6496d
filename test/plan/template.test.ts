import { describe, expect, it } from "vitest";
import { FormatError, UsageError } from "../../src/errors.ts";
import { stockTypes } from "../../src/ggml/stock-mix.ts";
import type { TensorType } from "../../src/ggml/tensor-types.ts";
import { parsePatternFile } from "../../src/plan/pattern-file.ts";
import { planFromTemplate } from "../../src/plan/plan-from-template.ts";
import { readPlan } from "../../src/plan/read-plan.ts";
import { type Template, templateTypes } from "../../src/plan/template.ts";
import { renderTensorTypes } from "../../src/plan/tensor-types.ts";
import { syntheticAnalysis, uniformSensitivity } from "./synthetic-analysis.ts";

const analysis = syntheticAnalysis({ layers: 8 });
const { facts } = analysis;
const tensors = analysis.tensors.map(({ name, shape, sourceType }) => ({ name, shape, type: sourceType }));
const model = { facts, tensors };

const patterns = (text: string): Template => ({
  kind: "patterns",
  name: "t.txt",
  overrides: parsePatternFile(text, "t.txt"),
});
const planOf = (template: Template, of = analysis) =>
  planFromTemplate({ analysis: of, sensitivity: uniformSensitivity(of), template, text: "--template t" });

/** A file of that preset. */
function donor(preset: "Q3_K_M" | "Q4_K_M", changes: { arch?: string; layers?: number } = {}) {
  const types = stockTypes(facts, tensors, preset);
  const typed = tensors.map((tensor) => ({ ...tensor, type: types.get(tensor.name) as TensorType }));
  return { kind: "tensors", name: "donor.gguf", arch: "llama", layers: 8, tensors: typed, ...changes } as const;
}

describe("parsePatternFile", () => {
  it("reads tokens between white space, comment lines, and ik_llama.cpp's commas, in order", () => {
    const text =
      "\ufeff## head\r\n^output\\.weight$=Q8_0  ffn_(up|gate)=iq4_xs\r\n\r\n# more\nattn_v=q6_K,attn_k=q5_K,.*=q4_K\n";
    expect(parsePatternFile(text, "r.recipe").map(({ pattern, type }) => `${pattern} ${type}`)).toEqual([
      "^output\\.weight$ Q8_0",
      "ffn_(up|gate) IQ4_XS",
      "attn_v Q6_K",
      "attn_k Q5_K",
      ".* Q4_K",
    ]);
  });

  it("names the line and what is wrong with it", () => {
    for (const [text, message] of [
      ["a=q4_K\nattn_v", /t\.txt: line 2: "attn_v" is no PATTERN=TYPE/],
      ["attn_v=", /line 1: "attn_v=" is no PATTERN=TYPE/],
      ["=q4_K", /line 1: "=q4_K" is no PATTERN=TYPE/],
      [
        "a=q4_K\n\nattn_v=iq4_ks",
        /line 3: IQ4_KS is a type of ik_llama\.cpp, which llama\.cpp can neither make nor read/,
      ],
      ["attn_v=q4_K_R4", /line 1: Q4_K_R4 is a type of ik_llama\.cpp/],
      ["attn_v=Q4_K_M", /line 1: "Q4_K_M" is no tensor type/],
      ["attn_(v=q4_K", /line 1: pattern "attn_\(v"/],
      ["# nothing\n", /names no tensor type/],
    ] as const) {
      expect(() => parsePatternFile(text, "t.txt"), text).toThrow(FormatError);
      expect(() => parsePatternFile(text, "t.txt"), text).toThrow(message);
    }
  });
});

describe("planFromTemplate", () => {
  it("gives every tensor the type it has in another file", () => {
    const { plan, remarks } = planOf(donor("Q3_K_M"));
    expect(remarks).toEqual([]);
    expect(plan).toMatchObject({ mode: "recipe", constraints: [] });
    const own = new Map(plan.tensors.map(({ name, type }) => [name, type]));
    for (const { name, type } of donor("Q3_K_M").tensors) expect(own.get(name), name).toBe(type);
    expect(plan.tensors.find(({ name }) => name === "output.weight")?.note).toBe("as in donor.gguf");
    expect(readPlan(JSON.stringify(plan), "plan.json")).toEqual(plan);
  });

  it("comes back from the tensor-types.txt of a plan as the same plan", () => {
    const { plan } = planOf(donor("Q4_K_M"));
    const again = planOf(patterns(renderTensorTypes(plan)));
    expect(again.remarks).toEqual([]);
    expect(again.plan.tensors.map(({ type }) => type)).toEqual(plan.tensors.map(({ type }) => type));
  });

  it("takes the first pattern that is found in a name, as llama-quantize does", () => {
    const { plan } = planOf(patterns("OUTPUT=q6_K attn_output=q3_K .*=q4_K"));
    const typeOf = (name: string) => plan.tensors.find((tensor) => tensor.name === name)?.type;
    expect(typeOf("blk.0.attn_output.weight")).toBe("Q6_K");
    expect(typeOf("blk.0.ffn_up.weight")).toBe("Q4_K");
    expect(typeOf("output_norm.weight")).toBe("F32");
  });

  it("asks for a preset where tensors are not named, and takes it", () => {
    expect(() => templateTypes(patterns("ffn_=q4_K") as never, model)).toThrow(UsageError);
    expect(() => templateTypes(patterns("ffn_=q4_K") as never, model)).toThrow(
      /t\.txt: it gives token_embd\.weight, output\.weight, .* and \d+ more no type; .*--base/,
    );
    const { types, remarks } = templateTypes(patterns("ffn_=q4_K") as never, model, { base: "Q2_K" });
    expect(types.get("blk.3.ffn_down.weight")).toBe("Q4_K");
    expect(types.get("blk.3.attn_q.weight")).toBe("Q2_K");
    expect(remarks).toEqual([expect.stringMatching(/are not in t\.txt: what Q2_K gives them/)]);
    expect(() => templateTypes(patterns("ffn_=q4_K") as never, model, { base: "F16" })).toThrow(/--base F16/);
  });

  it("gives a head that the other file lacks what the other file's preset gives it", () => {
    const tied = {
      ...donor("Q4_K_M"),
      tensors: donor("Q4_K_M").tensors.filter(({ name }) => name !== "output.weight"),
    };
    const { types, remarks } = templateTypes({ ...tied, base: "Q4_K_M" }, model);
    expect(types.get("output.weight")).toBe("Q6_K");
    expect(remarks).toEqual(["output.weight is not in donor.gguf: what Q4_K_M gives it"]);
  });

  it("refuses files of other architectures and layers, and patterns that meet nothing", () => {
    expect(() => planOf(donor("Q4_K_M", { arch: "qwen3" }))).toThrow(/is for qwen3 models and this one is llama/);
    expect(() => planOf(donor("Q4_K_M", { layers: 9 }))).toThrow(/has 9 layers and this model 8/);
    expect(() => planOf(patterns("ssm_out=q4_K"))).toThrow(/names no tensor of this model/);
  });

  it("says which patterns and tensors decide nothing, and where rows don't fit", () => {
    expect(planOf(patterns("ssm_out=q4_K .*=q8_0")).remarks).toEqual([
      "no tensor of this model is decided by ssm_out of t.txt",
    ]);
    const more = {
      ...donor("Q4_K_M"),
      tensors: [...donor("Q4_K_M").tensors, { name: "mtp.weight", shape: [256], type: "F32" as const }],
    };
    expect(planOf(more).remarks).toEqual(["this model has no mtp.weight, which is in donor.gguf"]);
    const narrow = syntheticAnalysis({ layers: 8, width: 96 });
    const { plan, remarks } = planOf(patterns(".*=q4_K"), narrow);
    expect(remarks).toEqual([expect.stringMatching(/^the rows of .* don't fit .*fallback is taken$/)]);
    expect(plan.tensors.find(({ name }) => name === "blk.0.attn_q.weight")).toMatchObject({
      type: "Q5_0",
      note: ".*=q4_K: Q4_K, but rows of 96 take Q5_0",
    });
  });

  it("refuses a type that needs an importance matrix where there is none", () => {
    expect(() => planOf(patterns(".*=iq2_xxs"))).toThrow(/IQ2_XXS needs importance values/);
  });
});
