import { expect, test } from "vitest";
import { TENSOR_TYPE_NAMES, TENSOR_TYPES } from "../../src/ggml/tensor-types.ts";
import { describeForeignType } from "../../src/gguf/foreign-types.ts";

test("a foreign type names its program and what to do", () => {
  for (const [id, name] of [
    [144, "IQ4_KS"],
    [137, "IQ2_K"],
    [158, "IQ1_KT"],
    [352, "IQ5_KS_R4"],
  ] as const) {
    expect(describeForeignType(id)).toContain(`the type ${name} (id ${id}) of ik_llama.cpp`);
  }
  expect(describeForeignType(38)).toMatch(/TL1 of BitNet.*IQ4_NL_8_8.*bitnet\.cpp/);
  expect(describeForeignType(31)).toMatch(/Q4_0_4_4 \(id 31\), which llama\.cpp removed/);
});

test("no id that llama.cpp reads is called foreign", () => {
  for (const type of TENSOR_TYPE_NAMES) expect(describeForeignType(TENSOR_TYPES[type].id)).toContain("unknown type id");
});
