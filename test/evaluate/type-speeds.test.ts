import { mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Bench } from "../../src/bench.ts";
import { renderTypes } from "../../src/cli/doctor/types-text.ts";
import { openEmbeddedEngine } from "../../src/engine/embedded.ts";
import type { Engine, LoadedModel } from "../../src/engine/engine.ts";
import { UsageError } from "../../src/errors.ts";
import { typedWeights } from "../../src/evaluate/type-model.ts";
import { judgeTypes, typeSpeeds } from "../../src/evaluate/type-speeds.ts";
import { bitsPerWeight, type TensorType } from "../../src/ggml/tensor-types.ts";
import { testBench } from "../bench.ts";
import { fakeModel } from "./fake-model.ts";

const TINY = { width: 256, feedForward: 512, layers: 1 };

let dir: string;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), "prism-type-speeds-"));
});
afterAll(() => rm(dir, { recursive: true, force: true }));

/** An engine that is as slow as a file is large, but for one type. */
function fakeEngine({ unsteady = false } = {}): { engine: Engine; loads: string[] } {
  const loads: string[] = [];
  const load = async ({ model }: { model: string }): Promise<LoadedModel> => {
    const type = /(\w+)\.gguf$/.exec(model)?.[1] as TensorType;
    loads.push(type);
    const ms = bitsPerWeight(type) * (type === "IQ3_S" ? 3 : 1) * (unsteady ? loads.length : 1);
    return {
      ...fakeModel(),
      time: async ({ prompt, generated }) => ({ promptMs: prompt, generated, generationMs: generated * ms }),
    };
  };
  const info = { kind: "embedded", version: "fake", origin: "test", devices: ["CPU: x"] };
  return { engine: { info, library: { load } } as unknown as Engine, loads };
}

const benchOf = (engine: Engine, more: Partial<Bench> = {}) =>
  testBench(engine, { cache: { dir: join(dir, "cache"), logitsLimitBytes: 0 }, ...more });

describe("the speed of types", () => {
  it("is measured by llama.cpp for every type that a plan may have, and leaves no file", async () => {
    const engine = await openEmbeddedEngine({ threads: 1 });
    const before = (await readdir(tmpdir())).filter((name) => name.startsWith("prism-types-"));
    try {
      const { types, weights, promptTokens } = await typeSpeeds({ size: TINY }, testBench(engine, { threads: 1 }));
      expect(types.map(({ type }) => type)).toEqual(
        expect.arrayContaining(["F16", "Q4_K", "IQ2_XXS", "IQ1_M", "Q8_0"]),
      );
      for (const { prompt, generation } of types) {
        expect(prompt.value).toBeGreaterThan(0);
        expect(generation.value).toBeGreaterThan(0);
      }
      expect(weights).toBe(256 * (4 * 256 + 3 * 512));
      expect(promptTokens).toBeGreaterThanOrEqual(32);
    } finally {
      await engine.close();
    }
    expect((await readdir(tmpdir())).filter((name) => name.startsWith("prism-types-"))).toEqual(before);
  }, 60_000);

  it("is kept per machine, engine and threads; measured again on request, where it is damaged, or was of no steady machine", async () => {
    const { engine, loads } = fakeEngine();
    const request = { size: TINY, types: ["Q4_K", "IQ3_S"] } as const;
    const first = await typeSpeeds(request, benchOf(engine));
    expect(first.types.map(({ type }) => type)).toEqual(["IQ3_S", "Q4_K"]);
    const { length } = loads;
    expect(await typeSpeeds(request, benchOf(engine))).toEqual(first);
    expect(loads).toHaveLength(length);
    await typeSpeeds({ ...request, force: true }, benchOf(engine));
    expect(loads).toHaveLength(2 * length);
    await typeSpeeds(request, benchOf(engine, { threads: 7 }));
    expect(loads).toHaveLength(3 * length);
    const kept = await readdir(join(dir, "cache", "types"));
    for (const name of kept) await writeFile(join(dir, "cache", "types", name), "{}");
    await typeSpeeds(request, benchOf(engine));
    expect(loads).toHaveLength(4 * length);

    const other = fakeEngine({ unsteady: true });
    const notes: string[] = [];
    const progress = { note: (text: string) => notes.push(text), steps: () => undefined };
    const place = { cache: { dir: join(dir, "busy"), logitsLimitBytes: 0 }, progress };
    expect((await typeSpeeds(request, benchOf(other.engine, place))).steady).toBe(false);
    expect(notes.join()).toContain("the machine does other work");
    await expect(readdir(join(dir, "busy"))).rejects.toThrow();
  });

  it("has the types that save no time against one of as many bits or more, where that is sure", () => {
    const speed = (prompt: number, generation: number, se = 0) => ({
      prompt: { value: prompt, se },
      generation: { value: generation, se },
    });
    const judged = judgeTypes(
      ["Q2_K", "IQ3_S", "Q4_K", "Q8_0"],
      [speed(90, 30), speed(40, 10), speed(100, 20), speed(60, 11)],
      1e9,
    );
    expect(judged.map(({ slowGeneration, slowPrompt }) => [slowGeneration, slowPrompt])).toEqual([
      [undefined, undefined],
      ["Q4_K", "Q4_K"],
      [undefined, undefined],
      [undefined, undefined],
    ]);
    const unsure = judgeTypes(["IQ3_S", "Q4_K"], [speed(90, 15, 2), speed(100, 20, 2)], 1e9);
    expect(unsure[0]).not.toHaveProperty("slowGeneration");
    // of 2 billion weights, 10 tokens a second are 20 billion weights
    expect(judgeTypes(["Q8_0"], [speed(5, 10)], 2e9)[0]?.generation.value).toBe(20);
  });

  it("is a table of 80 columns, and refused of programs", async () => {
    const { engine } = fakeEngine();
    const place = { devices: ["CPU: Some Processor with a Very Long Name, AVX-512"] };
    const speeds = await typeSpeeds({ size: TINY }, benchOf({ ...engine, info: { ...engine.info, ...place } }));
    const text = renderTypes(speeds);
    expect(text).toMatch(/^IQ3_S +3\.44 .* (\w+) \(generation\)$/m);
    expect(Math.max(...text.split("\n").map((line) => line.length))).toBeLessThanOrEqual(80);
    const programs = { ...engine, programs: {} } as unknown as Engine;
    await expect(typeSpeeds({}, testBench(programs))).rejects.toThrow(UsageError);
    expect(speeds.weights).toBe(typedWeights(TINY));
  });
});
