import { expect, test } from "vitest";
import {
  checkMeasurable,
  createMemoryBudget,
  DEFAULT_MEMORY_BYTES,
  measurementBytes,
} from "../../src/analyze/memory-budget.ts";
import { tensorBytes } from "../../src/ggml/tensor-types.ts";
import type { TensorInfo } from "../../src/gguf/model.ts";

const tensor = (...shape: number[]): TensorInfo => ({
  name: "blk.0.ffn_up.weight",
  shape,
  elements: shape.reduce((a, b) => a * b, 1),
  type: "BF16",
  bytes: tensorBytes("BF16", shape),
  shard: 0,
  offset: 0,
});

const turn = () => new Promise((resolve) => setImmediate(resolve));

test("work begins in order, as much as fits", async () => {
  const budget = createMemoryBudget(100);
  const log: string[] = [];
  let used = 0;
  let most = 0;
  await Promise.all(
    [60, 50, 30, 20, 1000, 10].map((bytes) =>
      budget.run(bytes, async () => {
        used += Math.min(100, bytes);
        most = Math.max(most, used);
        log.push(`${bytes}`);
        await turn();
        used -= Math.min(100, bytes);
      }),
    ),
  );
  expect(log).toEqual(["60", "50", "30", "20", "1000", "10"]);
  expect(most).toBeLessThanOrEqual(100);
});

test("work that fails gives its bytes back", async () => {
  const budget = createMemoryBudget(10);
  await expect(budget.run(10, () => Promise.reject(new Error("no")))).rejects.toThrow("no");
  expect(await budget.run(10, () => Promise.resolve(1))).toBe(1);
});

test.each([
  ["an embedding of 250,000 rows", tensor(8192, 250_000)],
  ["256 experts", tensor(7168, 2048, 256)],
  ["the longest rows there are", tensor(53_248, 16_384)],
])("%s fits the default budget, sampled and exact", (_, info) => {
  for (const exact of [false, true]) {
    expect(measurementBytes(info, exact)).toBeLessThan(DEFAULT_MEMORY_BYTES / 2);
  }
});

test("what no budget does for is refused before anything is read", () => {
  const check = (info: TensorInfo, memory = DEFAULT_MEMORY_BYTES) => checkMeasurable("m.gguf", [info], memory, false);
  expect(() => check(tensor(2 ** 30, 1))).toThrow(
    /^m\.gguf: measuring tensor blk\.0\.ffn_up\.weight with its rows of 1073741824 takes 21475885056 bytes of memory, --memory allows 1073741824; give --memory 20481MiB$/,
  );
  expect(() => check(tensor(2 ** 30, 1), 20481 * 2 ** 20)).not.toThrow();
  expect(() => check(tensor(32, 2 ** 30))).toThrow(/has 1073741824 rows, expected at most 67108864/);
});
