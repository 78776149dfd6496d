import { expect, test } from "vitest";
import type { DistortionEstimate } from "../../src/analyze/analysis.ts";
import { measureDistortion } from "../../src/analyze/distortion.ts";
import { createRowReader } from "../../src/analyze/row-reader.ts";
import { bandsNeeded } from "../../src/analyze/sample-size.ts";
import { orderBands, rowLayout } from "../../src/analyze/sampling.ts";
import type { Library } from "../../src/engine/engine.ts";
import { rowBytes, type TensorType } from "../../src/ggml/tensor-types.ts";
import { createNormal, createRandom } from "../../src/random.ts";
import { createWorkQueue } from "../../src/work-queue.ts";
import { f32Tensor, memoryModel } from "./model-in-memory.ts";

const TYPES: readonly TensorType[] = ["Q3_K", "IQ3_S", "IQ4_XS", "IQ4_NL", "Q4_K", "Q8_0"];
const TYPICAL: Readonly<Record<string, number>> = { Q3_K: 3e-2, IQ3_S: 2e-2, IQ4_XS: 8e-3, Q4_K: 7e-3, Q8_0: 5e-5 };
const ROWS = 2000;
const COLUMNS = 256;

/** An engine whose errors are the typical ones of a type, spread by row alike for all types and a little by type. */
function paperEngine(
  d: Readonly<Record<string, number>>,
  spread: number,
): Pick<Library, "roundTrip"> & { rows: Map<TensorType, number> } {
  const rows = new Map<TensorType, number>();
  return {
    rows,
    async roundTrip({ data, sourceType, rowElements, bandRows, types }) {
      const weights = new Float32Array(data.buffer, data.byteOffset, data.length / 4);
      const count = data.length / rowBytes(sourceType, rowElements);
      const bands = Math.ceil(count / bandRows);
      const power = new Float64Array(bands);
      const error = Object.fromEntries(types.map((type) => [type, new Float64Array(bands)]));
      for (const type of types) rows.set(type, (rows.get(type) ?? 0) + count);
      for (let row = 0; row < count; row++) {
        const band = Math.floor(row / bandRows);
        const [common = 0, own = 0] = weights.subarray(row * rowElements, row * rowElements + 2);
        power[band] = (power[band] ?? 0) + 1;
        for (const type of types) {
          const sums = error[type] as Float64Array;
          sums[band] =
            (sums[band] ?? 0) + (d[type] ?? 0) * Math.exp(spread * common + (type.startsWith("IQ") ? 0.05 * own : 0));
        }
      }
      return { power, error, nonFinite: 0 };
    },
  };
}

const normal = createNormal(createRandom(7));
const file = memoryModel([f32Tensor("blk.0.ffn_up.weight", [COLUMNS, ROWS], () => normal())]);
const tensor = file.model.tensors[0] as (typeof file.model.tensors)[0];

async function measure(
  engine: Pick<Library, "roundTrip">,
  { seed = 1, exact = false, types = TYPES }: { seed?: number; exact?: boolean; types?: readonly TensorType[] } = {},
): Promise<Partial<Record<TensorType, DistortionEstimate>>> {
  const { distortion } = await measureDistortion({
    library: engine,
    queue: createWorkQueue(1),
    path: "memory.gguf",
    reader: createRowReader(file, tensor),
    order: orderBands(rowLayout(tensor.shape), tensor.name, seed),
    types,
    firstBands: 4,
    targetRelativeSe: 0.02,
    exact,
  });
  return distortion;
}

test("slow types are measured on fewer rows than Q4_K and say that they are ratios to it", async () => {
  const engine = paperEngine({ ...TYPICAL, IQ4_NL: 6e-3 }, 0.05);
  const found = await measure(engine);
  expect(engine.rows.get("IQ4_XS")).toBeLessThan(engine.rows.get("Q4_K") ?? 0);
  expect(found.IQ4_XS?.ratioTo).toBe("Q4_K");
  expect(found.Q3_K?.ratioTo).toBeUndefined();
});

test("estimates through the ratio lie within 1 SE 60 to 76 times in 100, within 2 SE 92 to 98", async () => {
  const d = { ...TYPICAL, IQ4_NL: 6e-3 };
  const exact = await measure(paperEngine(d, 0.1), { exact: true });
  const errors: number[] = [];
  for (let seed = 1; seed <= 150; seed++) {
    const found = await measure(paperEngine(d, 0.1), { seed });
    for (const type of ["IQ4_XS", "IQ3_S"] as const) {
      const { value, se, ratioTo } = found[type] as DistortionEstimate;
      if (ratioTo !== undefined) errors.push(Math.abs(value - (exact[type]?.value ?? 0)) / se);
    }
  }
  const within = (limit: number) => errors.filter((error) => error <= limit).length / errors.length;
  expect(errors.length).toBeGreaterThan(200);
  expect(within(1)).toBeGreaterThan(0.6);
  expect(within(1)).toBeLessThan(0.76);
  expect(within(2)).toBeGreaterThan(0.92);
  expect(within(2)).toBeLessThan(0.98);
});

test("a type that errs clearly more than another of no more bytes keeps its first estimate and says why", async () => {
  const engine = paperEngine({ ...TYPICAL, IQ4_NL: 2e-2 }, 0.3);
  const found = await measure(engine);
  expect(found.IQ4_NL?.dominatedBy).toMatch(/^(IQ4_XS|Q4_K)$/);
  expect(found.Q3_K?.dominatedBy).toBe("IQ3_S");
  expect(found.Q3_K?.value).toBeGreaterThan(0);
  expect(engine.rows.get("IQ4_NL")).toBeLessThan(engine.rows.get("IQ4_XS") ?? 0);
});

test("types that are alike are not dropped, nor is a better one that takes more bytes", async () => {
  const found = await measure(paperEngine({ ...TYPICAL, IQ4_NL: 7.05e-3 }, 0.1));
  for (const type of ["IQ4_NL", "Q4_K", "IQ4_XS", "Q8_0"] as const) expect(found[type]?.dominatedBy).toBeUndefined();
});

test("only types that are still imprecise are measured on more rows", async () => {
  const engine = paperEngine({ ...TYPICAL, IQ4_NL: 6e-3, Q8_0: 1e-9 }, 0.3);
  await measure(engine);
  expect(engine.rows.get("Q8_0")).toBe(64);
  expect(engine.rows.get("Q4_K")).toBeGreaterThan(64);
});

test("a band is read once for all types that want it", async () => {
  const reads: number[] = [];
  const again = memoryModel([f32Tensor("blk.0.ffn_up.weight", [COLUMNS, ROWS], () => normal())], reads);
  const reader = createRowReader(again, tensor);
  await measureDistortion({
    library: paperEngine({ ...TYPICAL, IQ4_NL: 6e-3 }, 0),
    queue: createWorkQueue(1),
    path: "memory.gguf",
    reader,
    order: orderBands(rowLayout(tensor.shape), tensor.name, 1),
    types: TYPES,
    firstBands: 4,
    targetRelativeSe: 0.02,
    exact: false,
  });
  expect(reads.reduce((a, b) => a + b)).toBe(64 * COLUMNS * 4);
});

test("without Q4_K among the candidates every type is measured by itself", async () => {
  const found = await measure(paperEngine({ ...TYPICAL, IQ4_NL: 6e-3 }, 0.1), { types: ["IQ4_NL", "Q8_0"] });
  expect(found.IQ4_NL?.ratioTo).toBeUndefined();
});

test("an exact measurement has no standard error, no ratio and drops nothing", async () => {
  const found = await measure(paperEngine({ ...TYPICAL, IQ4_NL: 2e-2 }, 0.3), { exact: true });
  for (const estimate of Object.values(found)) expect(estimate).toEqual({ value: expect.any(Number), se: 0 });
});

test("a sample grows to what its variance calls for, within bounds", () => {
  const size = { bands: 4, longest: 1000 };
  expect(bandsNeeded(size, 4e-4, 4e-4)).toBe(5);
  expect(bandsNeeded(size, 8e-4, 4e-4)).toBe(10);
  expect(bandsNeeded(size, 1, 4e-4)).toBe(16);
  expect(bandsNeeded({ bands: 4, longest: 6 }, 1e-2, 4e-4)).toBe(6);
  expect(bandsNeeded(size, 0, 4e-4)).toBe(16);
});
