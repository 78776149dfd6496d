import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Bench } from "../../src/bench.ts";
import type { Engine, GpuDevice } from "../../src/engine/engine.ts";
import { decodedBy, fitLayers, layersThatFit } from "../../src/evaluate/gpu-layers.ts";
import type { OpenModel } from "../../src/gguf/model.ts";
import { openLocalModel } from "../../src/gguf/open.ts";
import { testBench } from "../bench.ts";
import { writeSmallModel } from "../engine/small-model.ts";

let dir: string;
let model: OpenModel;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), "prism-gpu-layers-"));
  model = await openLocalModel(await writeSmallModel(dir, "model"));
});
afterAll(async () => {
  await model.close();
  await rm(dir, { recursive: true, force: true });
});

const gpu = (freeBytes: number, name = "GPU0"): GpuDevice => ({
  name,
  description: "a card",
  freeBytes,
  totalBytes: 1e12,
  integrated: false,
});

function benchOn(gpus: readonly GpuDevice[] | undefined, more: Partial<Bench> = {}) {
  const notes: string[] = [];
  const info = { kind: "embedded", version: "test", origin: "test", devices: ["GPU0: a card"], gpus } as const;
  const progress = { note: (text: string) => notes.push(text), steps: () => undefined };
  return { notes, bench: testBench({ info } as unknown as Engine, { autoLayers: true, progress, ...more }) };
}

describe("layers on a GPU", () => {
  it("are as many as fit beside what a batch computes, the output first", () => {
    const fitting = Array.from({ length: 1000 }, (_, step) => layersThatFit(model, [gpu(1 + step * 2e4)], {}));
    expect(fitting[0]).toBe(0);
    expect(fitting.at(-1)).toBe(model.facts.layers + 1);
    expect(fitting).toEqual([...fitting].sort((a, b) => a - b));
    expect(new Set(fitting).size).toBe(model.facts.layers + 2);
  });

  it("are fewer beside another model and with a longer context, more on two devices", () => {
    const sizes = Array.from({ length: 1000 }, (_, step) => 1 + step * 1e5);
    const enough = (layers: (free: number) => number) => sizes.find((free) => layers(free) > model.facts.layers) ?? 0;
    const alone = enough((free) => layersThatFit(model, [gpu(free)], {}));
    expect(enough((free) => layersThatFit(model, [gpu(free)], { beside: 1 }))).toBeGreaterThan(alone);
    expect(enough((free) => layersThatFit(model, [gpu(free)], { context: 8192 }))).toBeGreaterThan(alone);
    expect(enough((free) => layersThatFit(model, [gpu(free), gpu(free)], {}))).toBeLessThan(alone);
  });

  it("are all where the driver does not say what is free", () => {
    expect(layersThatFit(model, [gpu(0)], {})).toBe(model.facts.layers + 1);
  });

  it("are said once, and stay what they were before", () => {
    const { bench, notes } = benchOn([gpu(2e9)]);
    const fitted = fitLayers(bench, model, {});
    expect(fitted).toMatchObject({ gpuLayers: 3, autoLayers: false });
    expect(notes).toEqual(["3 of 3 layers on GPU0 (a card, 2.00 GB free); --gpu-layers chooses another number"]);
    expect(fitLayers(fitted, model, {})).toBe(fitted);
    expect(fitLayers(bench, model, { before: 1 }).gpuLayers).toBe(1);
    const beside = benchOn([gpu(1), { ...gpu(1e12, "GPU1"), integrated: true }]);
    expect(fitLayers(beside.bench, model, {}).gpuLayers).toBe(0);
    expect(decodedBy(fitted)).toEqual({ devices: ["GPU0: a card"], gpuLayers: 3 });
  });

  it("are what was asked, and none, unsaid, where there is no GPU", () => {
    for (const { bench, notes } of [benchOn([gpu(2e9)], { autoLayers: false, gpuLayers: 2 }), benchOn(undefined)]) {
      expect(fitLayers(bench, model, {})).toBe(bench);
      expect(notes).toEqual([]);
    }
  });
});
