import { expect, test } from "vitest";
import { tensorBytes } from "../../src/ggml/tensor-types.ts";
import type { ModelFile, TensorInfo } from "../../src/gguf/model.ts";
import { readWeights } from "../../src/preflight/weight-sample.ts";
import { plainModel } from "../gguf/plain-model.ts";

/** What is read of one F16 tensor: start and length. */
async function reads(shape: readonly number[], budgetBytes?: number): Promise<[number, number][]> {
  const seen: [number, number][] = [];
  const model = plainModel({ tensors: [{ name: "w", shape }] });
  const read = (_: TensorInfo, start: number, bytes: number) => {
    seen.push([start, bytes]);
    return Promise.resolve(new Uint8Array(0));
  };
  await readWeights({ model, read } as unknown as ModelFile, { budgetBytes }, () => undefined);
  return seen;
}

test("a row of 2^30 weights is read in parts: its beginning, its end and between, within the budget", async () => {
  const pieces = await reads([2 ** 30], 2 ** 24);
  expect(pieces).toHaveLength(4);
  expect(pieces.reduce((sum, [, bytes]) => sum + bytes, 0)).toBe(2 ** 24);
  expect(pieces[0]?.[0]).toBe(0);
  expect(pieces.at(-1)).toEqual([2 ** 31 - 2 ** 22, 2 ** 22]);
  expect(await reads([2 ** 30], 1000)).toEqual([[0, 2 ** 17]]);
});

test("all of it comes in pieces of bounded size, also where rows are no multiple of a part", async () => {
  const shape = [2 ** 22 + 3, 3];
  const pieces = await reads(shape);
  let next = 0;
  for (const [start, bytes] of pieces) {
    expect(start).toBe(next);
    expect(bytes).toBeLessThanOrEqual(8 * 2 ** 20);
    next += bytes;
  }
  expect(next).toBe(tensorBytes("F16", shape));
});

test("rows as models have them are read whole, and the same ones as ever", async () => {
  expect(await reads([4096, 1000], 100_000)).toEqual([
    [0, 24576],
    [2_719_744, 24576],
    [5_447_680, 24576],
    [8_167_424, 24576],
  ]);
  expect(await reads([4096, 1000], 8000)).toEqual([[0, 8192]]);
  expect(await reads([53_248, 200])).toEqual([
    [0, 78 * 106_496],
    [78 * 106_496, 78 * 106_496],
    [156 * 106_496, 44 * 106_496],
  ]);
});
