/** Moments of inputs and their factor: TypeScript against dense sums, C++ against TypeScript. */
import { describe, expect, it } from "vitest";
import type { FeedbackKernels } from "../../src/engine/child/feedback.ts";
import { typescriptFeedback } from "../../src/engine/child/feedback.ts";
import { momentAt } from "../../src/engine/child/input-moments.ts";
import { openLlamaLibrary } from "../../src/engine/child/llama-library.ts";
import { nativeFeedback } from "../../src/engine/child/native-feedback.ts";
import { findEnginePackage } from "../../src/engine/package.ts";
import { openLibrary } from "../../src/kernels/native-library.ts";
import { denseMoments, drawInputs } from "./feedback-cases.ts";
import { heldBackLibraries, ISAS } from "./instruction-sets.ts";

const llama = openLlamaLibrary(findEnginePackage());
const libraryFor = heldBackLibraries();
const hasNative = typeof openLibrary() !== "string";

type Kernels = readonly [name: string, open: () => FeedbackKernels];
const KERNELS: readonly Kernels[] = [
  ["TypeScript", () => typescriptFeedback(llama)],
  ...(hasNative ? ISAS.map((isa): Kernels => [isa, () => nativeFeedback(libraryFor(isa), llama, 2)]) : []),
];

function sumsOf(kernels: FeedbackKernels, inputs: Float32Array, columns: number): Float32Array {
  const sums = new Float32Array(kernels.momentsLength(columns));
  kernels.addMoments(inputs, inputs.length / columns, columns, columns, sums);
  return sums;
}

async function factorOf(kernels: FeedbackKernels, sums: Float32Array, order: number, shrinkage: number) {
  const feedback = new Float32Array(order ** 2).fill(9);
  const pivots = new Float32Array(order).fill(9);
  const positive = await kernels.feedbackFactor(sums, order, shrinkage, feedback, pivots);
  return positive ? { feedback, pivots } : undefined;
}

describe.each(KERNELS)("moments of inputs: %s", (_, open) => {
  it.each([
    [1, 1],
    [5, 31],
    [129, 96],
    [1030, 33],
  ])("sums %i rows of %i inputs, in several calls and with gaps", (rows, columns) => {
    const kernels = open();
    const stride = columns + 3;
    const inputs = drawInputs(rows, stride, 3);
    const sums = new Float32Array(kernels.momentsLength(columns));
    const some = Math.floor(rows / 3);
    kernels.addMoments(inputs, some, columns, stride, sums);
    kernels.addMoments(inputs.subarray(some * stride), rows - some, columns, stride, sums);
    const packed = Float32Array.from({ length: rows * columns }, (_, at) => {
      return inputs[Math.floor(at / columns) * stride + (at % columns)] as number;
    });
    const expected = denseMoments(packed, columns, 0);
    let largest = 0;
    for (let i = 0; i < columns; i++) {
      for (let j = 0; j <= i; j++) {
        const scale = Math.sqrt((expected[i * (columns + 1)] as number) * (expected[j * (columns + 1)] as number));
        const difference = momentAt(sums, columns, i, j) - (expected[i * columns + j] as number);
        largest = Math.max(largest, Math.abs(difference) / scale);
      }
    }
    expect(largest).toBeLessThan(1e-6);
  });

  it.each([1, 31, 64, 96, 130])("the factor of %i inputs gives their moments back", async (columns) => {
    const kernels = open();
    const inputs = drawInputs(3 * columns, columns, 4);
    for (const shrinkage of [0, 0.2]) {
      const factor = await factorOf(kernels, sumsOf(kernels, inputs, columns), columns, shrinkage);
      const { feedback, pivots } = factor as NonNullable<typeof factor>;
      const expected = denseMoments(inputs, columns, shrinkage);
      const r = (row: number, column: number) => {
        const scale = row === column ? 1 : (feedback[column * columns + row] as number);
        return scale * (pivots[column] as number);
      };
      let largest = 0;
      for (let i = 0; i < columns; i++) {
        for (let j = 0; j <= i; j++) {
          let sum = 0;
          for (let k = i; k < columns; k++) sum += r(i, k) * r(j, k);
          const scale = Math.sqrt((expected[i * (columns + 1)] as number) * (expected[j * (columns + 1)] as number));
          largest = Math.max(largest, Math.abs(sum - (expected[i * columns + j] as number)) / scale);
        }
        expect(feedback.subarray(i * columns + i, (i + 1) * columns).every((value) => value === 0)).toBe(true);
      }
      expect(largest).toBeLessThan(1e-5);
    }
  });

  it("inputs that don't vary together ask nothing of each other", async () => {
    const kernels = open();
    const inputs = new Float32Array(96 * 96);
    for (let at = 0; at < 96; at++) inputs[at * 97] = 2 ** (at % 5);
    const factor = await factorOf(kernels, sumsOf(kernels, inputs, 96), 96, 0);
    expect(factor?.feedback.every((value) => value === 0)).toBe(true);
    expect([...(factor?.pivots ?? [])]).toEqual(Array.from({ length: 96 }, (_, at) => 2 ** (at % 5)));
  });

  it("refuses what is not positive definite, and shrinkage mends it", async () => {
    const kernels = open();
    const doubled = drawInputs(300, 64, 1);
    for (let row = 0; row < 300; row++) doubled[row * 64 + 40] = 3.3 * (doubled[row * 64 + 7] as number);
    const few = drawInputs(40, 64, 6);
    for (const inputs of [doubled, few]) {
      const sums = sumsOf(kernels, inputs, 64);
      expect(await factorOf(kernels, sums, 64, 0)).toBeUndefined();
      expectFinite(await factorOf(kernels, sums, 64, 0.01));
    }
  });

  it("takes inputs that are always 0 and channels of any size", async () => {
    const kernels = open();
    const columns = 64;
    const inputs = drawInputs(200, columns, 7);
    for (let row = 0; row < 200; row++) {
      inputs.fill(0, row * columns + 5, row * columns + 9);
      for (const at of [20, 21]) inputs[row * columns + at] = 1e4 * (inputs[row * columns + at] as number);
    }
    const factor = await factorOf(kernels, sumsOf(kernels, inputs, columns), columns, 0);
    expectFinite(factor);
    const { feedback, pivots } = factor as NonNullable<typeof factor>;
    for (let j = 0; j < columns; j++) {
      for (let k = 5; k < 9; k++) {
        expect(feedback[j * columns + k]).toBe(0);
        expect(feedback[k * columns + j]).toBe(0);
      }
    }
    expect(Math.min(...pivots)).toBeGreaterThan(0);
    const none = await factorOf(kernels, new Float32Array(kernels.momentsLength(columns)), columns, 0);
    expect([...(none?.pivots ?? [])]).toEqual(new Array(columns).fill(1));
  });

  it("refuses moments that are not finite", async () => {
    const kernels = open();
    for (const value of [Number.NaN, Number.POSITIVE_INFINITY, 2e19]) {
      const inputs = drawInputs(200, 64, 8);
      inputs[64 + 40] = value;
      expect(await factorOf(kernels, sumsOf(kernels, inputs, 64), 64, 0.2)).toBeUndefined();
    }
  });

  it("refuses lengths that don't fit", async () => {
    const kernels = open();
    const inputs = drawInputs(10, 32, 9);
    const sums = new Float32Array(kernels.momentsLength(32));
    expect(() => kernels.addMoments(inputs, 11, 32, 32, sums)).toThrow("11 rows of 32 inputs, 32 apart");
    expect(() => kernels.addMoments(inputs, 2, 32, 31, sums)).toThrow("2 rows of 32 inputs, 31 apart");
    expect(() => kernels.addMoments(inputs, 2, 32, 32, sums.subarray(1))).toThrow(
      "moments of 32 inputs are 1024 floats",
    );
    const short = new Float32Array(5);
    await expect(kernels.feedbackFactor(sums, 32, 0, short, short)).rejects.toThrow(
      "a factor of 32 inputs doesn't fit",
    );
  });
});

it.skipIf(!hasNative)("C++ gives the same on any number of threads, and TypeScript's", async () => {
  const columns = 130;
  const inputs = drawInputs(1500, columns, 10);
  const run = async (kernels: FeedbackKernels) => {
    const sums = sumsOf(kernels, inputs, columns);
    return { sums, factor: await factorOf(kernels, sums, columns, 0.05) };
  };
  const [one, ...more] = await Promise.all(
    [1, 2, 5].map((threads) => run(nativeFeedback(libraryFor("widest"), llama, threads))),
  );
  for (const other of more) expect(other).toEqual(one);
  const { factor } = await run(typescriptFeedback(llama));
  const found = one?.factor?.feedback ?? [];
  const differences = found.map((value, at) => Math.abs(value - (factor?.feedback[at] as number)));
  expect(Math.max(...differences)).toBeLessThan(1e-4);
});

function expectFinite(factor: { feedback: Float32Array; pivots: Float32Array } | undefined): void {
  expect(factor?.feedback.every(Number.isFinite)).toBe(true);
  expect(factor?.pivots.every((value) => value > 0 && Number.isFinite(value))).toBe(true);
}
