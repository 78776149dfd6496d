import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from "vitest";
import { openEmbeddedEngine } from "../../src/engine/embedded.ts";
import * as packages from "../../src/engine/package.ts";
import { vulkanProblem, whyNot } from "./vulkan.ts";

const installed = vi.hoisted(() => new Map<string, packages.EnginePackage | string | undefined>());
vi.mock("../../src/engine/package.ts", async (original) => {
  const real = await original<typeof packages>();
  return { ...real, findGpuPackages: () => (installed.size === 0 ? real.findGpuPackages() : installed) };
});

let dir: string;
/** A build whose library is no library. */
let damaged: packages.EnginePackage;
const CUDA = "@node-llama-cpp/linux-x64-cuda";

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), "prism-gpu-builds-"));
  const library = join(dir, "libllama.so");
  await writeFile(library, "no library");
  damaged = { name: CUDA, root: dir, dir, llama: library, ggml: library, ggmlBase: library };
});
beforeEach(() => installed.clear());
afterAll(() => rm(dir, { recursive: true, force: true }));

async function open(gpuLayers: number | "auto") {
  const notes: string[] = [];
  const engine = await openEmbeddedEngine({ threads: 1, gpuLayers, note: (text) => notes.push(text) });
  await engine.close();
  return { ...engine.info, notes: notes.join() };
}

describe("GPU builds", () => {
  it("are not looked for where none is installed: auto is the processor, silently", async () => {
    installed.set(CUDA, undefined);
    const { origin, gpus, notes } = await open("auto");
    expect(origin).toMatch(new RegExp(`^@node-llama-cpp/${packages.platformPackages()?.plain}@`));
    expect(gpus).toBeUndefined();
    expect(notes).toBe("");
    await expect(open(1)).rejects.toThrow(`--gpu-layers: ${CUDA} is not installed; install a build that fits`);
  });

  it("that don't load are said: auto goes on without, and a number of layers is refused", async () => {
    installed.set(CUDA, damaged);
    const { gpus, notes } = await open("auto");
    expect(gpus).toBeUndefined();
    expect(notes).toMatch(new RegExp(`^no GPU is used: ${CUDA} can't be used here: .*load shared library`));
    await expect(open(1)).rejects.toThrow(/can't be used here: .*load shared library/);
  });
});

describe.skipIf(vulkanProblem !== undefined)(`a GPU build after one that does not load${whyNot}`, () => {
  it("is used, with its devices and their memory, and it is said why not the other", async () => {
    const real = packages.inspectPackage(`@node-llama-cpp/${packages.platformPackages()?.gpu.at(-1)}`);
    installed.set(CUDA, damaged).set("the next", real);
    const { gpus = [], notes, devices } = await open("auto");
    expect(notes).toMatch(/load shared library.*: the next is used in its place/);
    expect(devices).toContain(`${gpus[0]?.name}: ${gpus[0]?.description}`);
    expect(gpus[0]?.freeBytes).toBeGreaterThan(0);
    expect(gpus[0]?.totalBytes).toBeGreaterThanOrEqual(gpus[0]?.freeBytes ?? 0);
  });
});
