import { expect, it } from "vitest";
import { createRowReader } from "../../src/analyze/row-reader.ts";
import type { ModelFile, TensorInfo } from "../../src/gguf/model.ts";

const tensor: TensorInfo = {
  name: "t",
  shape: [4, 32],
  elements: 128,
  type: "F32",
  bytes: 512,
  shard: 0,
  offset: 0,
};

it("asks for all ranges of a read at once, neighbours in one, and gives them in order", async () => {
  const asked: (readonly [start: number, bytes: number])[] = [];
  let answer = () => {};
  const asking = new Promise<void>((resolve) => {
    answer = resolve;
  });
  const file: Pick<ModelFile, "read"> = {
    async read(_tensor, start, bytes) {
      asked.push([start, bytes]);
      // no range is answered before all were asked for
      if (asked.length === 3) answer();
      await asking;
      return new Uint8Array(bytes).fill(start / 16);
    },
  };
  const reader = createRowReader(file as ModelFile, tensor);
  const bands = [0, 8, 10, 24].map((firstRow) => ({ firstRow, rows: 2, matrix: 0 }));
  const bytes = await reader.read(bands);
  expect(asked).toEqual([
    [0, 32],
    [128, 64],
    [384, 32],
  ]);
  expect([...bytes].filter((_, i) => i % 32 === 0)).toEqual([0, 8, 8, 24]);
});
