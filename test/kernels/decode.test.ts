import { expect, test } from "vitest";
import { decodeRows } from "../../src/kernels/decode.ts";

test("halves decode exactly: normal, subnormal, signed zero, infinite, NaN", () => {
  const bits = Uint16Array.of(0x3c00, 0xc000, 0x7bff, 0x0001, 0x03ff, 0x8000, 0x7c00, 0xfc00, 0x7e00);
  const values = [...decodeRows("F16", new Uint8Array(bits.buffer))];
  expect(values).toEqual([1, -2, 65504, 2 ** -24, 1023 * 2 ** -24, -0, Infinity, -Infinity, Number.NaN]);
});

test("bf16 is the upper half of an f32", () => {
  const bits = Uint16Array.of(0x3f80, 0xc000, 0x0001, 0x7f80);
  expect([...decodeRows("BF16", new Uint8Array(bits.buffer))]).toEqual([1, -2, 2 ** -133, Infinity]);
});

test("bytes need not be aligned", () => {
  const bytes = new Uint8Array(9);
  bytes.set(new Uint8Array(Float32Array.of(1.5, -3).buffer), 1);
  expect([...decodeRows("F32", bytes.subarray(1))]).toEqual([1.5, -3]);
});

test("half a weight is an error", () => {
  expect(() => decodeRows("F16", new Uint8Array(3))).toThrow(/no whole number of F16 weights/);
});
