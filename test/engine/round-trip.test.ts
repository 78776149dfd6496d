import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type EmbeddedEngine, openEmbeddedEngine } from "../../src/engine/embedded.ts";
import type { RoundTripJob } from "../../src/engine/engine.ts";
import { EngineError } from "../../src/errors.ts";
import { drawWeights, encodeFloats } from "../fixtures/weights.ts";

const ROW = 512;
const ROWS = 6;
const weights = drawWeights([ROW, ROWS], 0.02, 3);

let engine: EmbeddedEngine;
beforeAll(async () => {
  engine = await openEmbeddedEngine({ threads: 2 });
});
afterAll(() => engine.close());

function job(change: Partial<RoundTripJob> = {}): RoundTripJob {
  return {
    sourceType: "F32",
    rowElements: ROW,
    data: encodeFloats("F32", weights),
    bandRows: 1,
    types: ["Q8_0"],
    ...change,
  };
}

const sum = (values: Iterable<number> = []): number => [...values].reduce((total, value) => total + value, 0);

/** Q8_0 by its definition: 32 weights, one f16 scale of absmax/127. */
function q8Error(row: Float32Array): number {
  let error = 0;
  for (let start = 0; start < row.length; start += 32) {
    const block = row.subarray(start, start + 32);
    const scale = Math.fround(Math.max(...block.map(Math.abs)) / 127);
    const stored = new Uint16Array(encodeFloats("F16", Float32Array.of(scale)).buffer)[0] as number;
    const half = 2 ** ((stored >> 10) - 25) * (1024 + (stored & 1023));
    for (const x of block) error += (Math.round(x / scale) * half - x) ** 2;
  }
  return error;
}

describe("a round trip", () => {
  it("of Q8_0 gives the error of its definition, band by band", async () => {
    const { power, error, nonFinite } = await engine.library.roundTrip(job());
    expect(nonFinite).toBe(0);
    for (let row = 0; row < ROWS; row++) {
      const values = weights.subarray(row * ROW, (row + 1) * ROW);
      expect(power[row]).toBeCloseTo(sum(values.map((x) => x * x)), 6);
      expect((error.Q8_0?.[row] as number) / q8Error(values)).toBeCloseTo(1, 3);
    }
  });

  it("sums bands of rows, the last one shorter", async () => {
    const single = await engine.library.roundTrip(job());
    const { power, error } = await engine.library.roundTrip(job({ bandRows: 4 }));
    expect(power).toHaveLength(2);
    expect(power[0]).toBeCloseTo(sum(single.power.subarray(0, 4)), 12);
    expect(error.Q8_0?.[1]).toBeCloseTo(sum(single.error.Q8_0?.subarray(4)), 12);
  });

  it("loses nothing in the source's own float type", async () => {
    for (const sourceType of ["F16", "BF16"] as const) {
      const { error } = await engine.library.roundTrip(
        job({ sourceType, data: encodeFloats(sourceType, weights), types: [sourceType, "F32"] }),
      );
      expect(sum(error[sourceType])).toBe(0);
      expect(sum(error.F32)).toBe(0);
    }
  });

  it("is the better the more bits a type has", async () => {
    // Not IQ1 and IQ2_S: their tables take llama.cpp many seconds to set up.
    const types = ["IQ2_XXS", "Q2_K", "IQ3_S", "Q3_K", "IQ4_XS", "Q4_K", "Q5_K", "Q6_K", "Q8_0"] as const;
    const { error, power } = await engine.library.roundTrip(job({ types, importance: new Float32Array(ROW).fill(1) }));
    const relative = (type: (typeof types)[number]) => sum(error[type]) / sum(power);
    const families = [types.filter((type) => type.startsWith("Q")), types.filter((type) => type.startsWith("I"))];
    for (const family of families) {
      for (const [i, type] of family.slice(1).entries()) {
        expect(relative(type)).toBeLessThan(relative(family[i] as typeof type));
      }
    }
    expect(relative("IQ2_XXS")).toBeLessThan(0.4);
    expect(relative("Q8_0")).toBeGreaterThan(0);
  });

  it("weighs the error and the power by the importance, and quantizes for it", async () => {
    const importance = Float32Array.from({ length: ROW }, (_, j) => (j % 2 === 0 ? 9 : 0.01));
    const plain = await engine.library.roundTrip(job({ types: ["Q4_K"] }));
    const weighted = await engine.library.roundTrip(job({ types: ["Q4_K"], importance }));
    expect(sum(weighted.power)).toBeCloseTo(
      weights.reduce((total, x, i) => total + (importance[i % ROW] as number) * x * x, 0),
      4,
    );
    expect(sum(weighted.error.Q4_K) / sum(weighted.power)).toBeLessThan(sum(plain.error.Q4_K) / sum(plain.power));
  });

  it("reads rows that lie inside a larger buffer, Node's own included", async () => {
    const bytes = encodeFloats("F32", weights);
    const inside = Buffer.concat([Buffer.alloc(4), bytes]).subarray(4);
    const expected = await engine.library.roundTrip(job());
    expect(await engine.library.roundTrip(job({ data: inside }))).toEqual(expected);
  });

  it("counts weights that are NaN or infinite", async () => {
    const damaged = weights.slice();
    damaged[7] = Number.NaN;
    damaged[900] = Number.NEGATIVE_INFINITY;
    const { nonFinite } = await engine.library.roundTrip(job({ data: encodeFloats("F32", damaged) }));
    expect(nonFinite).toBe(2);
  });

  it("refuses half rows, an importance of another length and a type it can't read", async () => {
    const data = encodeFloats("F32", weights);
    await expect(engine.library.roundTrip(job({ data: data.subarray(0, 100) }))).rejects.toThrow(
      "100 bytes are not whole rows",
    );
    await expect(engine.library.roundTrip(job({ importance: new Float32Array(ROW - 1) }))).rejects.toThrow(
      /importance of 511/,
    );
    await expect(engine.library.roundTrip(job({ sourceType: "I32", types: ["Q8_0"] }))).rejects.toThrow(
      "no way to read I32 weights",
    );
  });
});

describe("an assert in ggml", () => {
  it("becomes an EngineError with the assert, and the next call works in a fresh process", async () => {
    const crash = engine.library.roundTrip(job({ types: ["IQ2_XXS"] }));
    await expect(crash).rejects.toBeInstanceOf(EngineError);
    await expect(crash).rejects.toThrow(/ended during roundTrip \(SIGABRT\)[\s\S]*GGML_ASSERT\(imatrix != NULL\)/);
    expect(sum((await engine.library.roundTrip(job())).error.Q8_0)).toBeGreaterThan(0);
  });

  it("fails its own call only: the pool goes on with the others", async () => {
    const results = await Promise.allSettled(
      Array.from({ length: 12 }, (_, i) => engine.library.roundTrip(job({ types: [i % 4 === 1 ? "IQ1_S" : "Q8_0"] }))),
    );
    expect(results.map(({ status }) => status)).toEqual(
      Array.from({ length: 12 }, (_, i) => (i % 4 === 1 ? "rejected" : "fulfilled")),
    );
  });
});
