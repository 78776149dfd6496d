import { describe, expect, it } from "vitest";
import { UsageError } from "../../src/errors.ts";
import { candidateTypes } from "../../src/ggml/candidates.ts";
import { fallbackType, fitsRows } from "../../src/ggml/fallback.ts";
import { needsImportance, requiresImatrix } from "../../src/ggml/importance.ts";
import { TENSOR_TYPE_NAMES, TENSOR_TYPES, type TensorType, tensorBytes } from "../../src/ggml/tensor-types.ts";

describe("row-size fallback", () => {
  // rows of 96 elements are whole blocks of 32, but not of 64, 128 or 256
  it.each([
    ["IQ1_S", "IQ4_NL"],
    ["IQ1_M", "IQ4_NL"],
    ["IQ2_XXS", "IQ4_NL"],
    ["IQ2_XS", "IQ4_NL"],
    ["IQ2_S", "IQ4_NL"],
    ["IQ3_XXS", "IQ4_NL"],
    ["IQ3_S", "IQ4_NL"],
    ["IQ4_XS", "IQ4_NL"],
    ["Q2_0", "Q4_0"],
    ["Q2_K", "Q4_0"],
    ["Q3_K", "Q4_0"],
    ["TQ1_0", "Q4_0"],
    ["TQ2_0", "Q4_0"],
    ["Q4_K", "Q5_0"],
    ["Q5_K", "Q5_1"],
    ["Q6_K", "Q8_0"],
    ["Q4_0", "Q4_0"],
    ["Q8_0", "Q8_0"],
    ["MXFP4", "MXFP4"],
    ["BF16", "BF16"],
  ] as const)("%s becomes %s in rows of 96", (type, expected) => {
    expect(fallbackType(type, 96)).toBe(expected);
  });

  it.each(["IQ1_S", "Q2_0", "Q4_K", "Q6_K", "Q4_0", "Q8_0", "IQ4_NL", "MXFP4"] as const)(
    "%s becomes F16 in rows that no block of 32 divides",
    (type) => {
      expect(fallbackType(type, 80)).toBe("F16");
      expect(fallbackType(type, 1)).toBe("F16");
    },
  );

  it.each(["Q1_0", "NVFP4"] as const)("%s has none", (type) => {
    expect(() => fallbackType(type, 96)).toThrow(UsageError);
    expect(fallbackType(type, 256)).toBe(type);
  });

  it("changes nothing the second time, nor where the blocks fit", () => {
    for (const type of TENSOR_TYPE_NAMES.filter((name) => TENSOR_TYPES[name].target)) {
      expect(fallbackType(type, 256)).toBe(type);
      if (type === "Q1_0" || type === "NVFP4") continue;
      for (const row of [1, 80, 96, 128, 320]) {
        const once = fallbackType(type, row);
        expect(fitsRows(once, row)).toBe(true);
        expect(fallbackType(once, row)).toBe(once);
      }
    }
  });
});

describe("candidate types", () => {
  const tensor = (row: number) => ({ name: "blk.0.ffn_down.weight", shape: [row, 64] });
  const IMPORTANCE_TYPES: readonly TensorType[] = ["IQ1_M", "IQ2_XXS", "IQ2_XS", "IQ2_S", "IQ3_XXS"];

  it("are ten in rows of 256, and five more with importance values", () => {
    const without = candidateTypes(tensor(512), { importance: false });
    const withValues = candidateTypes(tensor(512), { importance: true });
    expect(without).toEqual(["Q2_K", "Q3_K", "IQ3_S", "IQ4_XS", "IQ4_NL", "Q4_K", "Q5_K", "Q6_K", "Q8_0", "F16"]);
    expect(withValues.filter((type) => !without.includes(type))).toEqual(IMPORTANCE_TYPES);
    expect(without.some((type) => needsImportance(type, "blk.0.ffn_down.weight", "Q4_K_M"))).toBe(false);
  });

  it("are those of 32-element blocks in rows of 32, with or without importance values, and F16 alone otherwise", () => {
    const expected = ["Q4_0", "IQ4_NL", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "F16"];
    expect(candidateTypes(tensor(96), { importance: false })).toEqual(expected);
    expect(candidateTypes(tensor(96), { importance: true })).toEqual(expected);
    expect(candidateTypes(tensor(100), { importance: true })).toEqual(["F16"]);
  });

  it.each([256, 288, 100])("fit rows of %i and come in order of bytes", (row) => {
    const types = candidateTypes(tensor(row), { importance: true });
    expect(types.map((type) => fallbackType(type, row))).toEqual(types);
    const bytes = types.map((type) => tensorBytes(type, [row, 64]));
    expect(bytes).toEqual(bytes.toSorted((a, b) => a - b));
  });

  it("are types llama-quantize can make", () => {
    expect(candidateTypes(tensor(256), { importance: true }).every((type) => TENSOR_TYPES[type].target)).toBe(true);
  });
});

describe("the need for importance values", () => {
  it.each(["IQ1_S", "IQ1_M", "IQ2_XXS", "IQ2_XS", "IQ2_S", "IQ3_XXS"] as const)("%s has it", (type) => {
    expect(requiresImatrix(type, "blk.0.attn_q.weight", "Q4_K_M")).toBe(true);
    expect(requiresImatrix(type, "output.weight", "Q4_K_M")).toBe(false);
  });

  it("is Q2_K's only in Q2_K_S files", () => {
    expect(requiresImatrix("Q2_K", "blk.0.attn_q.weight", "Q2_K_S")).toBe(true);
    expect(requiresImatrix("Q2_K", "blk.0.attn_q.weight", "Q2_K")).toBe(false);
    expect(requiresImatrix("Q2_K", "token_embd.weight", "Q2_K_S")).toBe(false);
  });

  it("is not that of types that only use the values", () => {
    for (const type of ["IQ3_S", "IQ4_NL", "IQ4_XS", "Q3_K", "TQ1_0"] as const) {
      expect(needsImportance(type, "blk.0.attn_q.weight", "Q2_K_S")).toBe(false);
    }
  });

  it("is an abort in ggml for embeddings and output in IQ1_S, IQ2_XXS and IQ2_XS alone", () => {
    for (const name of ["token_embd.weight", "per_layer_token_embd.weight", "output.weight"]) {
      const needing = TENSOR_TYPE_NAMES.filter((type) => needsImportance(type, name, "Q2_K_S"));
      expect(needing).toEqual(["IQ2_XXS", "IQ2_XS", "IQ1_S"]);
    }
  });
});
