import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";
import { estimateRatio } from "../../src/analyze/ratio-estimate.ts";
import { orderBands, rowLayout } from "../../src/analyze/sampling.ts";
import { type EmbeddedEngine, openEmbeddedEngine } from "../../src/engine/embedded.ts";
import type { RoundTripResult } from "../../src/engine/engine.ts";
import type { TensorType } from "../../src/ggml/tensor-types.ts";
import { openModel } from "../../src/gguf/open.ts";

// Bands of 4 rows, so that the tensors of a small model have enough of them to be sampled.
const DESIGN = { bandRows: 4, strata: 4, firstBands: 4 };
const TYPES: readonly TensorType[] = ["Q3_K", "Q4_K", "Q6_K", "Q8_0"];

let engine: EmbeddedEngine;
beforeAll(async () => {
  engine = await openEmbeddedEngine({ threads: 2 });
});
afterAll(() => engine.close());

const total = (values: ArrayLike<number> | undefined) => Array.from(values ?? []).reduce((a, b) => a + b, 0);

function sampled(name: string, rows: number, seed: number, { power, error }: RoundTripResult, type: TensorType) {
  return orderBands(rowLayout([1, rows]), name, seed, DESIGN).strata.map((bands) => {
    const taken = bands.slice(0, DESIGN.firstBands);
    return {
      population: bands.length,
      power: taken.map((band) => power[band] as number),
      error: taken.map((band) => error[type]?.[band] as number),
    };
  });
}

test("of the bundled model's distortions 60 to 76 in 100 lie within 1 SE of the exact value, 92 to 98 within 2 SE", async () => {
  const file = await openModel(fileURLToPath(new URL("../../models/books-llama-8m-f16.gguf", import.meta.url)));
  let pairs = 0;
  let within1 = 0;
  let within2 = 0;
  for (const tensor of file.model.tensors) {
    const [rowElements = 1, rows = 1] = tensor.shape;
    if (rows < 100) continue;
    const result = await engine.library.roundTrip({
      sourceType: tensor.type,
      rowElements,
      data: await file.read(tensor, 0, tensor.bytes),
      bandRows: DESIGN.bandRows,
      types: TYPES,
    });
    for (const type of TYPES) {
      const exact = total(result.error[type]) / total(result.power);
      for (let seed = 1; seed <= 10; seed++) {
        const { value, se } = estimateRatio(sampled(tensor.name, rows, seed, result, type));
        pairs++;
        if (Math.abs(value - exact) <= se) within1++;
        if (Math.abs(value - exact) <= 2 * se) within2++;
      }
    }
  }
  await file.close();
  expect(pairs).toBe(58 * TYPES.length * 10);
  expect(within1 / pairs).toBeGreaterThan(0.6);
  expect(within1 / pairs).toBeLessThan(0.76);
  expect(within2 / pairs).toBeGreaterThan(0.92);
  expect(within2 / pairs).toBeLessThan(0.98);
});
