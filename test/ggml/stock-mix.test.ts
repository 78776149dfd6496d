import { describe, expect, it } from "vitest";
import { FILE_TYPE_NAMES, FILE_TYPES, type FileType } from "../../src/ggml/file-types.ts";
import type { ModelFacts } from "../../src/ggml/model-facts.ts";
import { is70B, outputOrder, type RuleTensor, stockTypes } from "../../src/ggml/stock-mix.ts";
import { tensorClass } from "../../src/ggml/tensor-class.ts";
import type { TensorType } from "../../src/ggml/tensor-types.ts";
import { denseTensors, expertTensors, f16, f32, facts } from "./rule-models.ts";
import { GOLDEN, GOLDEN_CLASSES } from "./stock-golden.ts";

/** The types of a class, layer by layer: "Q4_K Q6_K@0,1", the most frequent first. */
function classTypes(types: ReadonlyMap<string, TensorType>, wanted: string): string {
  const layersByType = new Map<TensorType, number[]>();
  for (const [name, type] of types) {
    const { class: tensor, layer } = tensorClass(name);
    if (tensor === wanted) layersByType.set(type, [...(layersByType.get(type) ?? []), layer ?? 0]);
  }
  const main = [...layersByType.keys()].sort(
    (a, b) => (layersByType.get(b)?.length ?? 0) - (layersByType.get(a)?.length ?? 0) || (a < b ? -1 : 1),
  )[0];
  layersByType.delete(main as TensorType);
  return [main, ...[...layersByType].map(([type, layers]) => `${type}@${layers}`)].join(" ");
}

const typeIn = (model: ModelFacts, tensors: readonly RuleTensor[], fileType: FileType, wanted: string): string =>
  classTypes(stockTypes(model, tensors, fileType), wanted);

describe("the stock mix of the bundled model", () => {
  const cases = FILE_TYPE_NAMES.filter((name) => name !== "NVFP4").flatMap((name) => [
    { fileType: name, imatrix: false, golden: GOLDEN[name] },
    { fileType: name, imatrix: true, golden: GOLDEN[`${name}+imatrix`] ?? GOLDEN[name] },
  ]);

  it.each(cases)("is what llama-quantize makes of $fileType, imatrix $imatrix", ({ fileType, imatrix, golden }) => {
    const types = stockTypes(facts(), denseTensors(), fileType, { imatrix });
    expect(GOLDEN_CLASSES.map((name) => classTypes(types, name))).toEqual(golden);
  });

  it("leaves norms in the type of the source and names every tensor, in output order", () => {
    const types = stockTypes(facts(), denseTensors(), "Q4_K_M");
    expect([...types.keys()].slice(0, 5)).toEqual([
      "output.weight",
      "output_norm.weight",
      "token_embd.weight",
      "blk.0.attn_k.weight",
      "blk.0.attn_norm.weight",
    ]);
    expect(types.size).toBe(75);
    expect(types.get("blk.7.ffn_norm.weight")).toBe("F32");
  });

  it("does not depend on the order of the tensors in the source", () => {
    const tensors = denseTensors();
    expect([...stockTypes(facts(), tensors.toReversed(), "Q3_K_M")]).toEqual([
      ...stockTypes(facts(), tensors, "Q3_K_M"),
    ]);
  });

  it("counts an empty set of imatrix entries as no imatrix", () => {
    const empty = stockTypes(facts(), denseTensors(), "IQ3_XXS", { imatrix: new Set() });
    const some = stockTypes(facts(), denseTensors(), "IQ3_XXS", { imatrix: new Set(["blk.0.attn_q.weight"]) });
    expect(empty.get("blk.3.attn_v.weight")).toBe("IQ3_S");
    expect(some.get("blk.3.attn_v.weight")).toBe("IQ3_XXS");
  });

  it("is refused for NVFP4, which llama-quantize does not make", () => {
    expect(() => stockTypes(facts(), denseTensors(), "NVFP4")).toThrow(/NVFP4/);
  });
});

describe("overrides and pure", () => {
  it("are followed by the row-size fallback", () => {
    const overrides = new Map<string, TensorType>([["blk.0.ffn_down.weight", "Q3_K"]]);
    const tensors = denseTensors({ hidden: 96 });
    expect(stockTypes(facts(), tensors, "Q8_0", { overrides }).get("blk.0.ffn_down.weight")).toBe("Q4_0");
  });

  it("take a tensor out of the count that the other layers' types depend on", () => {
    const overrides = new Map<string, TensorType>([["blk.0.attn_v.weight", "Q8_0"]]);
    const stock = stockTypes(facts(), denseTensors(), "Q3_K_M");
    const shifted = stockTypes(facts(), denseTensors(), "Q3_K_M", { overrides });
    expect(classTypes(stock, "attn_v")).toBe("Q4_K Q5_K@0,1");
    expect(classTypes(shifted, "attn_v")).toBe("Q4_K Q8_0@0 Q5_K@1,2");
  });

  it("are ignored where the file type is not quantized, and for tensors that are not eligible", () => {
    const overrides = new Map<string, TensorType>([
      ["output.weight", "Q8_0"],
      ["output_norm.weight", "Q8_0"],
    ]);
    expect(stockTypes(facts(), denseTensors(), "F16", { overrides }).get("output.weight")).toBe("F16");
    expect(stockTypes(facts(), denseTensors(), "Q4_K_M", { overrides }).get("output_norm.weight")).toBe("F32");
  });

  it("give every eligible tensor the file type's own type when pure, overrides first", () => {
    const overrides = new Map<string, TensorType>([["token_embd.weight", "F16"]]);
    const types = stockTypes(facts(), denseTensors(), "Q4_K_M", { pure: true, overrides });
    expect(types.get("output.weight")).toBe("Q4_K");
    expect(types.get("token_embd.weight")).toBe("F16");
    expect(classTypes(types, "attn_v")).toBe("Q4_K");
  });
});

describe("the stock mix of other architectures", () => {
  it.each([
    ["Q4_K_M", "Q6_K"],
    ["IQ2_M", "Q5_K"],
    ["Q8_0", "Q8_0"],
    ["MXFP4_MOE", "Q8_0"],
  ] as const)("gives tied embeddings the output's type: %s makes %s", (fileType, type) => {
    const tensors = [...denseTensors({ output: false }), f16("per_layer_token_embd.weight", 256, 4096)];
    expect(typeIn(facts({ hasOutput: false }), tensors, fileType, "token_embd")).toBe(type);
    expect(typeIn(facts({ hasOutput: false }), tensors, fileType, "per_layer_token_embd")).toBe(type);
  });

  it.each([
    ["Q2_K", "Q4_K", "Q3_K"],
    ["Q2_K_S", "Q4_K", "Q2_K"],
    ["IQ2_M", "Q4_K", "IQ3_S"],
    ["IQ3_XXS", "Q4_K", "IQ3_S"],
    ["IQ3_S", "Q4_K", "IQ3_S"],
    ["IQ4_XS", "Q5_K", "IQ4_XS"],
    ["Q3_K_S", "Q3_K", "Q3_K"],
  ] as const)(
    "%s stores attn_v in %s with 4 heads per kv head, in %s with 3 or no kv heads",
    (fileType, wide, narrow) => {
      const attnV = (heads: number, kvHeads: number) =>
        typeIn(facts({ heads, kvHeads }), denseTensors(), fileType, "attn_v");
      expect([attnV(8, 2), attnV(7, 2), attnV(8, 0)]).toEqual([wide, narrow, narrow]);
    },
  );

  it.each([
    ["Q4_K_M", "Q8_0", "Q8_0", "Q5_K"],
    ["Q3_K_S", "Q8_0", "Q8_0", "Q5_K"],
    ["Q3_K_L", "Q8_0", "Q8_0", "Q3_K"],
    ["Q5_K_M", "Q8_0", "Q8_0", "Q5_K"],
    ["IQ2_XS", "Q4_K", "Q4_K", "Q5_K"],
  ] as const)("of exactly 8 experts guards the attention: %s", (fileType, v, k, output) => {
    const types = stockTypes(facts({ experts: 8 }), expertTensors(8, 8), fileType);
    expect(["attn_v", "attn_k", "attn_output"].map((name) => classTypes(types, name))).toEqual([v, k, output]);
  });

  it("of exactly 8 experts stores attn_output in Q5_K under these file types", () => {
    const raised = FILE_TYPE_NAMES.filter((fileType) => {
      if (fileType === "NVFP4" || FILE_TYPES[fileType].defaultType === "Q5_K") return false;
      return typeIn(facts({ experts: 8 }), expertTensors(8, 8), fileType, "attn_output") === "Q5_K";
    });
    expect(raised.join(" ")).toBe(
      "Q2_K Q3_K_S Q3_K_M Q4_K_S Q4_K_M IQ2_XXS IQ2_XS IQ3_XS IQ3_XXS IQ1_S IQ4_NL IQ3_S IQ3_M IQ2_S IQ2_M IQ4_XS IQ1_M",
    );
  });

  it("of exactly 8 experts raises more of ffn_down under IQ3_M", () => {
    const down = (experts: number) =>
      typeIn(facts({ experts, layers: 16 }), expertTensors(16, experts), "IQ3_M", "ffn_down_exps");
    expect(down(8)).toBe("IQ3_S Q4_K@1,4,7,10,13,14,15");
    expect(down(16)).toBe("IQ3_S Q4_K@1");
  });

  it("of 128 experts goes by the layer in the name, and does not guard the attention", () => {
    const types = stockTypes(facts({ experts: 128, layers: 16 }), expertTensors(16, 128), "Q4_K_M");
    expect(classTypes(types, "ffn_down")).toBe("Q6_K");
    expect(classTypes(types, "ffn_down_exps")).toBe("Q4_K Q6_K@1,4,7,10,13,14,15");
    expect(classTypes(types, "ffn_down_shexp")).toBe("Q4_K Q6_K@1,4,7,10,13,14,15");
    expect(classTypes(types, "attn_k")).toBe("Q4_K");
    expect(types.get("blk.3.ffn_gate_inp.weight")).toBe("F32");
  });

  it("counts ffn_down tensors instead below 3 bpw, even with experts", () => {
    const types = stockTypes(facts({ experts: 128, layers: 16 }), expertTensors(16, 128), "IQ2_XXS");
    expect(classTypes(types, "ffn_down")).toBe("Q2_K");
    expect(classTypes(types, "ffn_down_exps")).toBe("IQ2_XXS Q2_K@1");
    expect(classTypes(types, "ffn_down_shexp")).toBe("IQ2_XXS");
    expect(classTypes(types, "attn_v")).toBe("Q4_K");
  });

  it("is refused where an expert tensor's layer can't be told", () => {
    const stray = [f16("ffn_up_exps.weight", 256, 256, 8)];
    const beyond = [f16("blk.8.ffn_up_exps.weight", 256, 256, 8)];
    expect(() => stockTypes(facts({ experts: 8 }), stray, "Q4_K_M")).toThrow(/ffn_up_exps\.weight.*layer/);
    expect(() => stockTypes(facts({ experts: 8 }), beyond, "Q4_K_M")).toThrow(/0 to 7/);
    expect(stockTypes(facts({ experts: 8 }), stray, "Q4_K_M", { pure: true }).get("ffn_up_exps.weight")).toBe("Q4_K");
  });

  it("stores experts in MXFP4 and the rest in Q8_0 with MXFP4_MOE", () => {
    const tensors = [...expertTensors(8, 8), f16("blk.1.attn_k_b.weight", 128, 256, 4)];
    const types = stockTypes(facts({ experts: 8 }), tensors, "MXFP4_MOE");
    expect(classTypes(types, "ffn_down_exps")).toBe("MXFP4");
    expect(classTypes(types, "ffn_down_shexp")).toBe("Q8_0");
    expect(types.get("blk.1.attn_k_b.weight")).toBe("MXFP4");
    const bailing = stockTypes(facts({ experts: 8, arch: "bailingmoe3" }), tensors, "MXFP4_MOE");
    expect(bailing.get("blk.1.attn_k_b.weight")).toBe("Q8_0");
    expect(classTypes(bailing, "ffn_up_exps")).toBe("MXFP4");
  });

  it("treats attn_kv_b and attn_qkv as attn_v, and the other MLA, SSM and MTP tensors as the base type", () => {
    const tensors = [
      f16("output.weight", 256, 4096),
      f16("blk.0.attn_kv_b.weight", 256, 512),
      f16("blk.0.attn_q_a.weight", 256, 256),
      f16("blk.0.attn_kv_a_mqa.weight", 256, 288),
      f16("blk.0.attn_k_b.weight", 128, 256, 4),
      f16("blk.1.attn_qkv.weight", 256, 512),
      f16("blk.1.ssm_out.weight", 256, 256),
      f32("blk.1.ssm_conv1d.weight", 4, 256),
      f16("blk.2.nextn.eh_proj.weight", 512, 256),
    ];
    const model = facts({ arch: "deepseek2", layers: 3, nextnLayers: 1 });
    expect([...stockTypes(model, tensors, "Q3_K_L")]).toEqual([
      ["output.weight", "Q6_K"],
      ["blk.0.attn_k_b.weight", "Q4_0"],
      ["blk.0.attn_kv_a_mqa.weight", "Q3_K"],
      ["blk.0.attn_kv_b.weight", "Q5_K"],
      ["blk.0.attn_q_a.weight", "Q3_K"],
      ["blk.1.attn_qkv.weight", "Q5_K"],
      ["blk.1.ssm_conv1d.weight", "F32"],
      ["blk.1.ssm_out.weight", "Q3_K"],
      ["blk.2.nextn.eh_proj.weight", "Q3_K"],
    ]);
  });

  it.each([
    ["Q3_K_M", "Q3_K Q5_K@0,1 Q4_K@2,3,6,9,12,15,18,21,24,27,28,29,30,31", "Q3_K", "Q8_0"],
    ["Q3_K_L", "Q4_K", "Q4_K", "Q8_0"],
    ["Q4_K_M", "Q4_K Q6_K@0,1 Q5_K@2,3,6,9,12,15,18,21,24,27,28,29,30,31", "Q4_K", "Q8_0"],
    ["Q4_K_S", "Q4_K", "Q4_K", "Q8_0"],
  ] as const)("of falcon has rules of its own: %s", (fileType, down, attnOutput, output) => {
    const types = stockTypes(facts({ arch: "falcon", layers: 32 }), denseTensors({ layers: 32 }), fileType);
    expect(["ffn_down", "attn_output", "output"].map((name) => classTypes(types, name))).toEqual([
      down,
      attnOutput,
      output,
    ]);
  });

  it("raises attn_v of a 70B from Q3_K and Q4_K to Q5_K", () => {
    const model = facts({ layers: 80, heads: 64, kvHeads: 8 });
    const tensors = denseTensors({ layers: 80 });
    expect(typeIn(model, tensors, "Q3_K_S", "attn_v")).toBe("Q5_K");
    expect(typeIn(model, tensors, "Q2_K", "attn_v")).toBe("Q5_K");
    expect(typeIn(model, tensors, "IQ3_XXS", "attn_v")).toBe("Q5_K");
    expect(typeIn(model, tensors, "Q2_K_S", "attn_k")).toBe("Q2_K");
    expect(typeIn({ ...model, kvHeads: 64 }, tensors, "Q3_K_S", "attn_v")).toBe("Q3_K");
  });

  it.each([
    [facts({ layers: 80, kvHeads: 1 }), true],
    [facts({ layers: 80, kvHeads: 4 }), false],
    [facts({ layers: 80, kvHeads: 1, experts: 8 }), false],
    [facts({ layers: 81, nextnLayers: 1, kvHeads: 1 }), true],
    [facts({ arch: "qwen2", layers: 80, kvHeads: 4 }), true],
    [facts({ arch: "llama-embed", layers: 80, kvHeads: 1 }), true],
    [facts({ arch: "deci", layers: 80, kvHeads: 4 }), true],
    [facts({ arch: "olmo", layers: 80, kvHeads: 4 }), true],
    [facts({ arch: "qwen3", layers: 80, kvHeads: 1 }), false],
    [facts({ arch: "jais2", layers: 68 }), true],
  ])("takes %o for a 70B: %s", (model, expected) => {
    expect(is70B(model)).toBe(expected);
  });

  it("falls back where rows are no multiple of 256, and gives such an output Q8_0", () => {
    const types = stockTypes(facts(), denseTensors({ width: 288, hidden: 80 }), "Q4_K_M");
    expect(types.get("output.weight")).toBe("Q8_0");
    expect(types.get("token_embd.weight")).toBe("Q5_0");
    expect(classTypes(types, "attn_v")).toBe("Q5_0 Q8_0@0,3,6,7");
    expect(classTypes(types, "ffn_down")).toBe("F16");
    expect(() => stockTypes(facts(), denseTensors({ width: 288 }), "Q1_0")).toThrow(/Q1_0/);
  });

  it("gives tensors outside the categories the file type's own type", () => {
    for (const fileType of ["Q4_K_M", "IQ2_S", "Q3_K_L"] as const) {
      expect(stockTypes(facts(), [f16("cls.output.weight", 256, 2)], fileType).get("cls.output.weight")).toBe(
        FILE_TYPES[fileType].defaultType,
      );
    }
  });
});

describe("the output order", () => {
  it("puts tensors outside blocks first, then goes by the number of the block", () => {
    const names = ["blk.10.a", "v.blk.0.b", "blk.2.z", "output.weight", "blk.2.b"];
    expect(outputOrder(names.map((name) => ({ name }))).map(({ name }) => name)).toEqual([
      "output.weight",
      "v.blk.0.b",
      "blk.2.b",
      "blk.2.z",
      "blk.10.a",
    ]);
  });
});
