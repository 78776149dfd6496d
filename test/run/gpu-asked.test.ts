import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { firstDifference } from "../../src/run/asked.ts";
import type { RunAsked } from "../../src/run/asked-document.ts";
import { layersBefore, openRunState, runDirectory } from "../../src/run/run-state.ts";

const ON_GPU = ["Vulkan0: a card", "CPU: a processor"];
const asked = (more: Partial<RunAsked> = {}): RunAsked => ({
  ...{ model: "m.gguf", fingerprint: "f", budget: "--bpw 4", mode: "tensor", constraints: [], guards: [] },
  ...{ sensitivity: "auto", baselines: [], text: "sampled", seed: 0, exactMetrics: false, exactDistortion: false },
  ...{ gpuLayers: 3, devices: ON_GPU, engine: "embedded v0.5.0", prismVersion: "0" },
  ...more,
});

let dir: string;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), "prism-gpu-asked-"));
});
afterAll(() => rm(dir, { recursive: true, force: true }));

describe("a run on a GPU", () => {
  it("does not go on on another device, nor on the processor", () => {
    const other = asked({ devices: ["CUDA0: a card", "CPU: a processor"] });
    expect(firstDifference(asked(), other, "points")).toMatch(/^the device was Vulkan0: a card.*, now CUDA0/);
    const { devices: _, ...processor } = asked({ gpuLayers: 0 });
    expect(firstDifference(asked(), processor, "rows")).toBe("--gpu-layers was 3, now 0");
    expect(firstDifference(asked(), other, "analysis")).toBeUndefined();
  });

  it("begins anew on another where its importance matrix or its codes are decoded", () => {
    const other = (more: Partial<RunAsked>) => asked({ ...more, devices: ["CUDA0: a card"] });
    for (const more of [{ imatrix: "sampled" }, { feedback: "own" }]) {
      expect(firstDifference(asked(more), other(more), "analysis")).toMatch(/^the device/);
    }
  });

  it("keeps the layers it began with on the same device", async () => {
    const directory = runDirectory(dir);
    expect(await layersBefore(directory, ON_GPU)).toBeUndefined();
    await openRunState(directory, asked(), false);
    expect(await layersBefore(directory, ON_GPU)).toBe(3);
    expect(await layersBefore(directory, ["CUDA0: a card"])).toBeUndefined();
    expect(await layersBefore(directory, undefined)).toBeUndefined();
    await writeFile(directory.state, "{}");
    await expect(layersBefore(directory, ON_GPU)).rejects.toThrow(directory.state);
  });
});
