import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, it } from "vitest";
import { EngineChild } from "../../src/engine/child-process.ts";
import { openEmbeddedEngine } from "../../src/engine/embedded.ts";
import type { MemoryContext } from "../../src/engine/engine.ts";
import { measureMemory } from "../../src/engine/measure-memory.ts";
import { findEnginePackage } from "../../src/engine/package.ts";
import { computeBytes } from "../../src/footprint/compute-buffers.ts";
import { contextSize } from "../../src/footprint/context-size.ts";
import { type HeaderMemory, readHeaderMemory } from "../../src/footprint/header-memory.ts";
import { contextNeeded } from "../../src/footprint/memory-needed.ts";
import { openLocalModel } from "../../src/gguf/open.ts";
import { SIZED_MODELS } from "../fixtures/sized-models.ts";
import { writeTiny } from "../fixtures/tiny-models.ts";

const dir = await mkdtemp(join(tmpdir(), "prism-compute-buffers-"));
const child = new EngineChild(findEnginePackage());
afterAll(async () => {
  await child.close();
  await rm(dir, { recursive: true });
});

const MODEL = "models/books-llama-8m-f16.gguf";
const MIB = 2 ** 20;
/** What docs/memory.md states: so much less, and so much more, than llama.cpp reports. */
const LESS_MIB = 9;
const MORE_MIB = 40;
/** llama.cpp rounds each of its caches to hundredths of a MiB. */
const ROUNDED_MIB = 0.02;

const F16 = { k: "F16", v: "F16" } as const;
const CONTEXTS: readonly MemoryContext[] = [
  { context: 8192, parallel: 1, kv: F16, ubatch: 512 },
  { context: 32_768, parallel: 1, kv: { k: "Q8_0", v: "Q8_0" }, ubatch: 512 },
  { context: 131_072, parallel: 4, kv: F16, ubatch: 512 },
];

const sum = (bytes: readonly number[]) => bytes.reduce((total, each) => total + each, 0);

async function compare(path: string): Promise<void> {
  const open = await openLocalModel(path);
  await open.close();
  const header = readHeaderMemory(open.model) as HeaderMemory;
  const measured = await measureMemory(child, { model: path, contexts: CONTEXTS, gpuLayers: 0 });
  for (const [index, request] of CONTEXTS.entries()) {
    const size = contextSize(header, request);
    const llama = measured[index];
    if (llama === undefined) throw new Error(`llama.cpp makes no context of ${JSON.stringify(request)}`);
    const off = (computeBytes(header, size) - sum([...llama.computeBytes.values()])) / MIB;
    expect(off, JSON.stringify(request)).toBeGreaterThan(-LESS_MIB);
    expect(off, JSON.stringify(request)).toBeLessThan(MORE_MIB);
    const { kvBytes, marginBytes } = contextNeeded(header, request);
    expect(Math.abs(kvBytes - llama.kvBytes) / MIB).toBeLessThan(ROUNDED_MIB);
    expect(marginBytes / MIB).toBeGreaterThan(10 * LESS_MIB);
  }
}

it.each(SIZED_MODELS)("$name computes in about what is estimated", async ({ arch, values }) => {
  const path = await writeTiny(arch, dir, { values, hollow: true });
  await compare(path);
  await rm(path);
});

it("so do the model that comes with PRISM and its quantized file, which keep the same keys and values", {
  timeout: 60_000,
}, async () => {
  await compare(MODEL);
  const output = join(dir, "quantized.gguf");
  const engine = await openEmbeddedEngine({ threads: 2 });
  await engine
    .quantize({ source: MODEL, output, fileType: "Q4_K_M", overrides: [], threads: 2 })
    .finally(() => engine.close());
  await compare(output);
});
