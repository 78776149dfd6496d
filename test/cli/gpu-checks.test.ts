import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from "vitest";
import { gpuChecks } from "../../src/cli/doctor/gpu-checks.ts";
import { type EmbeddedEngine, openEmbeddedEngine } from "../../src/engine/embedded.ts";
import type { Engine, ScoreOptions } from "../../src/engine/engine.ts";
import * as packages from "../../src/engine/package.ts";
import { COMPILING_MS, vulkanProblem, whyNot } from "../engine/vulkan.ts";

const installed = vi.hoisted(() => new Map<string, packages.EnginePackage | string | undefined>());
vi.mock("../../src/engine/package.ts", async (original) => {
  const real = await original<typeof packages>();
  return { ...real, findGpuPackages: () => (installed.size === 0 ? real.findGpuPackages() : installed) };
});

const CUDA = "@node-llama-cpp/linux-x64-cuda";
let engine: EmbeddedEngine;
beforeAll(async () => {
  engine = await openEmbeddedEngine({ threads: 1 });
});
beforeEach(() => installed.clear());
afterAll(() => engine.close());

const check = (processor: Engine = engine) =>
  gpuChecks(processor, { threads: 1, signal: new AbortController().signal });

describe("the doctor's look at GPUs", () => {
  it("names the builds where none is installed, and how to get one", async () => {
    installed.set(CUDA, undefined);
    expect(await check()).toEqual([
      {
        name: "gpu",
        status: "absent",
        detail: `${CUDA}: not installed`,
        remedy: `npm install ${CUDA}@${packages.PACKAGE_VERSION}, for a GPU`,
      },
    ]);
  });

  it("says which build can't be used, and why", async () => {
    const dir = await mkdtemp(join(tmpdir(), "prism-gpu-checks-"));
    const library = join(dir, "libllama.so");
    await writeFile(library, "no library");
    installed.set(CUDA, { name: CUDA, root: dir, dir, llama: library, ggml: library, ggmlBase: library });
    installed.set("other", "other is version 1");
    const [damaged, other] = await check();
    expect(damaged).toMatchObject({ name: "gpu", status: "absent", remedy: expect.stringContaining("npm install") });
    expect(damaged?.detail).toMatch(/can't be used here: .*load shared library/);
    expect(other?.detail).toBe("other is version 1");
    await rm(dir, { recursive: true });
  });
});

describe.skipIf(vulkanProblem !== undefined)(`the doctor's look at a GPU${whyNot}`, () => {
  it(
    "decodes on it, and says how far it is from the processor",
    async () => {
      const [found] = await check();
      expect(found).toMatchObject({ name: "gpu Vulkan0", status: "ok" });
      expect(found?.detail).toMatch(/ free of .*; decodes: KLD \S+ from the processor's, ln p off by \S+ at most$/);
    },
    COMPILING_MS,
  );

  it(
    "refuses one that computes something else",
    async () => {
      const { library } = engine;
      // the processor is asked about other tokens, which the device then seems to have got wrong
      const load: typeof library.load = async (options) => {
        const loaded = await library.load(options);
        const score = (asked: ScoreOptions) =>
          loaded.score({ ...asked, tokens: { ...asked.tokens, ids: asked.tokens.ids.map((id) => id + 1) } });
        return { ...loaded, score };
      };
      const [found] = await check({ ...engine, library: { ...library, load } });
      expect(found).toMatchObject({ status: "absent", remedy: "update its driver, or give --gpu-layers 0" });
      expect(found?.detail).toMatch(/KLD \S+ from the processor's.*, which is no rounding$/);
    },
    COMPILING_MS,
  );
});
