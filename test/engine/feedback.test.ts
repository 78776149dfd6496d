/** Quantizing with error feedback: what its sums promise, in TypeScript and in C++, with ggml's own functions. */
import { describe, expect, it } from "vitest";
import {
  type FeedbackJob,
  type FeedbackKernels,
  inputError,
  quantizeWithFeedback,
  typescriptFeedback,
} from "../../src/engine/child/feedback.ts";
import { openLlamaLibrary } from "../../src/engine/child/llama-library.ts";
import { nativeFeedback } from "../../src/engine/child/native-feedback.ts";
import { encode } from "../../src/engine/child/round-trip.ts";
import { findEnginePackage } from "../../src/engine/package.ts";
import type { TensorType } from "../../src/ggml/tensor-types.ts";
import { openLibrary } from "../../src/kernels/native-library.ts";
import { drawWeights } from "../fixtures/weights.ts";
import { type Case, drawInputs, feedbackJob, roomFor } from "./feedback-cases.ts";
import { heldBackLibraries, ISAS } from "./instruction-sets.ts";

const llama = openLlamaLibrary(findEnginePackage());
const libraryFor = heldBackLibraries();
const hasNative = typeof openLibrary() !== "string";

type Kernels = readonly [name: string, open: () => FeedbackKernels];
const NATIVE = hasNative ? ISAS.map((isa): Kernels => [isa, () => nativeFeedback(libraryFor(isa), llama, 2)]) : [];
const KERNELS: readonly Kernels[] = [["TypeScript", () => typescriptFeedback(llama)], ...NATIVE];

const OWN_CODES: readonly TensorType[] = [
  ...(["Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K", "Q8_0"] as const),
  ...(["Q4_0", "Q4_1", "Q5_0", "Q5_1", "IQ4_NL", "IQ4_XS"] as const),
];
/** Those whose tables are made quickly. */
const BY_BLOCKS: readonly TensorType[] = ["IQ3_S", "IQ3_XXS", "MXFP4"];

/** Shares of bytes and of the error: a code on the edge falls either way, and ggml then finds other scales. */
const OTHER_BYTES = 0.02;
const OTHER_ERROR = 0.03;

function changed(change: (row: Float32Array) => void): Float32Array {
  const inputs = drawInputs(300, 256, 3);
  for (let start = 0; start < inputs.length; start += 256) change(inputs.subarray(start, start + 256));
  return inputs;
}

const CASES: readonly (readonly [string, () => Float32Array])[] = [
  ["few tokens", () => drawInputs(40, 256, 2)],
  ["no input at all", () => new Float32Array(512)],
  ["inputs that are always 0", () => changed((row) => row.fill(0, 30, 70))],
  [
    "channels far larger than the rest",
    () =>
      changed((row) =>
        row.set(
          row.subarray(90, 92).map((x) => 1e4 * x),
          90,
        ),
      ),
  ],
  ["inputs that are there twice", () => changed((row) => row.set(row.subarray(0, 100), 100))],
];

async function quantized(kernels: FeedbackKernels, job: FeedbackJob) {
  const packed = roomFor(job);
  return { packed, error: await kernels.quantize(job, packed) };
}

/** The error of f32 weights as ggml quantizes them, under the same importance. */
function errorByGgml(job: FeedbackJob): number {
  const weights = new Float32Array(job.data.buffer, job.data.byteOffset, job.rows * job.columns);
  return inputError(llama, job, encode(llama, job.type, weights, job.columns, job.importance));
}

describe.each(KERNELS)("error feedback: %s", (_, open) => {
  it.each(OWN_CODES)("says the error of the codes it chooses for %s: far less than ggml's", async (type) => {
    const kernels = open();
    const job = feedbackJob({ type });
    const { packed, error } = await quantized(kernels, job);
    expectNear(inputError(llama, job, packed), error, 1e-5);
    expectNear(await kernels.inputError(job, packed), error, 1e-5);
    expect(error).toBeLessThan(0.6 * errorByGgml(job));
  });

  it.each(BY_BLOCKS)("says the error of %s, by blocks: less than ggml's", async (type) => {
    const kernels = open();
    const job = feedbackJob({ type, columns: 512 });
    const { packed, error } = await quantized(kernels, job);
    expectNear(inputError(llama, job, packed), error, 1e-5);
    expectNear(await kernels.inputError(job, packed), error, 1e-5);
    expect(error).toBeLessThan(0.98 * errorByGgml(job));
  });

  it("leaves ggml's blocks where inputs don't vary together, and its own codes are no worse", async () => {
    const kernels = open();
    for (const type of [...OWN_CODES, ...BY_BLOCKS]) {
      const job = feedbackJob({ type, columns: 512, shrinkage: 1 });
      const { packed, error } = await quantized(kernels, job);
      if (BY_BLOCKS.includes(type)) {
        const weights = new Float32Array(job.data.buffer, 0, job.rows * job.columns);
        expect(packed).toEqual(encode(llama, type, weights, job.columns, job.importance));
      }
      // ggml weighs Q4_0 and its like by the power of a row, here by that of a block
      else expect(error).toBeLessThanOrEqual(errorByGgml(job) * (type.endsWith("_K") ? 1 + 1e-6 : 1.02));
    }
  });

  it.each<readonly [string, Partial<Case>]>([
    ["a row", { rows: 1 }],
    ["more rows than a band", { rows: 65, columns: 96 }],
    ["a block", { columns: 32 }],
    ["odd columns", { columns: 576 }],
    ["F16", { sourceType: "F16", columns: 96 }],
    ["BF16", { sourceType: "BF16", columns: 96 }],
  ])("fits %s", async (__, given) => {
    const kernels = open();
    for (const type of ["IQ4_NL", "Q5_1"] as const) {
      const job = feedbackJob({ type, ...given });
      const { packed, error } = await quantized(kernels, job);
      expectNear(inputError(llama, job, packed), error, 1e-5);
    }
  });

  it.each(CASES)("keeps to %s", async (__, inputsOf) => {
    const kernels = open();
    const given = feedbackJob({ type: "Q4_K", inputs: inputsOf(), shrinkage: 0.01 });
    for (const type of ["Q4_K", "Q2_K", "IQ4_NL", "IQ3_S"] as const) {
      const job = { ...given, type };
      const { packed, error } = await quantized(kernels, job);
      expect(Number.isFinite(error)).toBe(true);
      expectNear(inputError(llama, job, packed), error, 1e-3);
      expect(error).toBeLessThanOrEqual(1.02 * errorByGgml(job));
    }
  });

  it("keeps rows of zeros and of one value", async () => {
    const kernels = open();
    const weights = drawWeights([256, 7], 0.02, 4);
    weights.fill(0, 256, 512).fill(0.5, 512, 768).fill(-0.5, 768, 1024);
    for (const type of [...OWN_CODES, ...BY_BLOCKS]) {
      const job = feedbackJob({ type, weights });
      const { packed, error } = await quantized(kernels, job);
      // the error of a row of one value is a small difference of its weights
      expectNear(inputError(llama, job, packed), error, 1e-3);
      const zeros = { ...job, rows: 1, data: job.data.subarray(1024, 2048) };
      expect(inputError(llama, zeros, packed.subarray(packed.length / 7, (2 * packed.length) / 7))).toBe(0);
    }
  });

  it("says that weights or scales are not finite", async () => {
    const kernels = open();
    for (const type of ["Q4_0", "Q4_K", "IQ3_S", "MXFP4"] as const) {
      for (const value of [Number.NaN, Number.NEGATIVE_INFINITY]) {
        const weights = drawWeights([256, 7], 0.02, 4);
        weights[777] = value;
        expect((await quantized(kernels, feedbackJob({ type, weights }))).error).toBeNaN();
      }
    }
    // the scale of a block is a half
    const large = drawWeights([256, 7], 1e7, 4);
    expect(Number.isFinite((await quantized(kernels, feedbackJob({ type: "Q4_0", weights: large }))).error)).toBe(
      false,
    );
  });

  it("refuses parts that don't fit together", async () => {
    const kernels = open();
    const job = feedbackJob({ type: "Q4_0" });
    const packed = roomFor(job);
    const refusals: readonly (readonly [Partial<FeedbackJob>, string])[] = [
      [{ data: job.data.subarray(1) }, "7167 bytes of weights for 7 × 256 weights; expected 7168"],
      [{ rows: 6 }, "7168 bytes of weights"],
      [{ importance: job.importance.subarray(1) }, "255 values of importance"],
      [{ feedback: job.feedback.subarray(1) }, "65535 factors"],
      [{ pivots: job.pivots.subarray(1) }, "255 pivots"],
      [{ type: "I8" }, "ggml has no way to read I8"],
      [{ columns: 250 }, "not a multiple of Q4_0's block"],
    ];
    for (const [change, message] of refusals) {
      await expect(kernels.quantize({ ...job, ...change }, packed)).rejects.toThrow(message);
      await expect(kernels.inputError({ ...job, ...change }, packed)).rejects.toThrow(message);
    }
    await expect(kernels.quantize(job, packed.subarray(1))).rejects.toThrow("1007 bytes to fill");
  });
});

describe.each(NATIVE)("error feedback in C++ against TypeScript: %s", (_, open) => {
  it.each([...OWN_CODES, ...BY_BLOCKS])("chooses the same codes for %s but for a few on the edge", async (type) => {
    const job = feedbackJob({ type, rows: 33, columns: 512 });
    const expected = roomFor(job);
    const error = quantizeWithFeedback(llama, job, expected);
    const found = await quantized(open(), job);
    const other = found.packed.filter((byte, at) => byte !== expected[at]).length;
    expect(other / expected.length).toBeLessThan(OTHER_BYTES);
    expectNear(found.error, error, OTHER_ERROR);
  });
});

it.skipIf(!hasNative)("C++ gives the same on any number of threads", async () => {
  const job = feedbackJob({ type: "Q4_K", rows: 150, columns: 512 });
  const library = libraryFor("widest");
  const runs = [1, 2, 5].map((threads) => quantized(nativeFeedback(library, llama, threads), job));
  const [one, ...more] = await Promise.all(runs);
  for (const other of more) expect(other).toEqual(one);
});

function expectNear(found: number, expected: number, relative: number): void {
  expect(Math.abs(found - expected)).toBeLessThanOrEqual(relative * Math.abs(expected));
}
