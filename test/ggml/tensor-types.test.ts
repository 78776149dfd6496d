import { describe, expect, it } from "vitest";
import { candidateTypes } from "../../src/ggml/candidates.ts";
import { TENSOR_TYPE_NAMES, TENSOR_TYPES } from "../../src/ggml/tensor-types.ts";

const candidates = (row: number, importance: boolean) =>
  candidateTypes({ name: "blk.0.ffn_up.weight", shape: [row, 8] }, { importance }).join(" ");

describe("the table of tensor types", () => {
  it("gives the candidates of a tensor, smallest first", () => {
    const kTypes = "Q2_K Q3_K IQ3_S IQ4_XS IQ4_NL Q4_K Q5_K Q6_K Q8_0 F16";
    expect(candidates(512, false)).toBe(kTypes);
    expect(candidates(512, true)).toBe(kTypes.replace("Q2_K", "IQ1_M IQ2_XXS IQ2_XS IQ2_S Q2_K IQ3_XXS"));
    expect(candidates(96, true)).toBe("Q4_0 IQ4_NL Q4_1 Q5_0 Q5_1 Q8_0 F16");
    expect(candidates(50, true)).toBe("F16");
  });

  it("has a mark of its own for every type that has one, and one for every candidate", () => {
    const traits = TENSOR_TYPE_NAMES.map((type) => TENSOR_TYPES[type]);
    const marks = traits.flatMap(({ mark }) => mark ?? []);
    expect(new Set(marks).size).toBe(marks.length);
    expect(traits.filter(({ candidate, mark }) => candidate !== undefined && mark === undefined)).toEqual([]);
  });
});
