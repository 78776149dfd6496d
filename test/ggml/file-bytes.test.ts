import { describe, expect, it } from "vitest";
import { bpw, fileBytes, paddedBytes, tensorBytesTotal } from "../../src/ggml/file-bytes.ts";
import { stockTypes } from "../../src/ggml/stock-mix.ts";
import type { TensorType } from "../../src/ggml/tensor-types.ts";
import { denseTensors, facts } from "./rule-models.ts";

/** The bundled model under a file type, as sized tensors. */
function quantized(fileType: "Q4_K_M" | "Q2_K" | "Q8_0") {
  const types = stockTypes(facts(), denseTensors(), fileType);
  return denseTensors().map(({ name, shape }) => ({ type: types.get(name) as TensorType, shape }));
}

describe("file bytes", () => {
  it("round up to the alignment", () => {
    expect([0, 1, 31, 32, 33].map((bytes) => paddedBytes(bytes))).toEqual([0, 32, 32, 32, 64]);
    expect(paddedBytes(65, 64)).toBe(128);
    // beyond 2^32, where integer operators of JavaScript would wrap
    expect(paddedBytes(2 ** 40 + 1)).toBe(2 ** 40 + 32);
  });

  it("equal the file llama-quantize wrote of the bundled model", () => {
    // Q4_K_M by llama.cpp v0.5.0: tensor data at 133,440, 5,376,320 bytes in all
    expect(fileBytes(133_440, quantized("Q4_K_M"))).toBe(5_376_320);
    expect(fileBytes(133_409, quantized("Q4_K_M"))).toBe(5_376_320);
    expect(fileBytes(133_408, quantized("Q4_K_M"))).toBe(5_376_288);
  });

  it("pad each tensor on its own, which the total of tensor bytes does not", () => {
    const odd = { type: "Q4_0", shape: [32, 1] } as const;
    expect(fileBytes(0, [odd, odd])).toBe(64);
    expect(tensorBytesTotal([odd, odd])).toBe(36);
  });
});

describe("bits per weight", () => {
  it.each([
    ["Q2_K", 3.36],
    ["Q4_K_M", 5.0],
    ["Q8_0", 8.51],
  ] as const)("of %s are what llama-quantize prints", (fileType, printed) => {
    expect(bpw(quantized(fileType))).toBeCloseTo(printed, 2);
  });

  it("are 0 without tensors", () => {
    expect(bpw([])).toBe(0);
  });
});
