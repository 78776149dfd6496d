import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { EngineChild } from "../../src/engine/child-process.ts";
import type { MemoryContext } from "../../src/engine/engine.ts";
import { measureMemory } from "../../src/engine/measure-memory.ts";
import { findEnginePackage } from "../../src/engine/package.ts";
import { contextSize } from "../../src/footprint/context-size.ts";
import { type HeaderMemory, readHeaderMemory } from "../../src/footprint/header-memory.ts";
import { kvCacheBytes, kvTypesRefusal } from "../../src/footprint/kv-cache.ts";
import { stateBytes } from "../../src/footprint/recurrent-state.ts";
import { openLocalModel } from "../../src/gguf/open.ts";
import { writeRunnable } from "../fixtures/runnable.ts";
import { TINY_ARCHITECTURES, type TinyOptions, writeTiny } from "../fixtures/tiny-models.ts";
import type { TinyValue } from "../fixtures/tiny-values.ts";

const dir = await mkdtemp(join(tmpdir(), "prism-context-memory-"));
const child = new EngineChild(findEnginePackage());
afterAll(async () => {
  await child.close();
  await rm(dir, { recursive: true });
});

const F16 = { k: "F16", v: "F16" } as const;
const CONTEXTS: readonly MemoryContext[] = [
  { context: 300, parallel: 1, kv: F16, ubatch: 512 },
  { context: 65_536, parallel: 1, kv: { k: "Q8_0", v: "Q8_0" }, ubatch: 512 },
  { context: 65_536, parallel: 1, kv: { k: "Q8_0", v: "Q4_0" }, ubatch: 512 },
  { context: 65_536, parallel: 4, kv: F16, ubatch: 128 },
];
/** llama.cpp v0.5.0 fails an assert of its graph. */
const ONE_SEQUENCE: ReadonlySet<string> = new Set(["t5"]);
/** Drafts, whose contexts are made beside one of the model they help. */
const DRAFTS = ["dflash", "eagle3", "gemma4-assistant"];

const sum = (bytes: readonly number[]) => bytes.reduce((total, each) => total + each, 0);
/** In hundredths of a MiB, as llama.cpp logs each of its caches; several are rounded one by one. */
const logged = (bytes: number) => Math.round((bytes / 2 ** 20) * 100);
const ROUNDED = 1.5;

async function compare(path: string, contexts: readonly MemoryContext[]): Promise<void> {
  const model = await openLocalModel(path);
  const header = readHeaderMemory(model.model) as HeaderMemory;
  await model.close();
  const measured = await measureMemory(child, { model: path, contexts, gpuLayers: 0 });
  await rm(path);
  for (const [index, request] of contexts.entries()) {
    const said = JSON.stringify(request);
    const size = contextSize(header, request);
    const llama = measured[index];
    expect(kvTypesRefusal(header, size) === undefined, said).toBe(llama !== undefined);
    if (llama === undefined) continue;
    expect(Math.abs(logged(sum(kvCacheBytes(header, size))) - logged(llama.kvBytes)), said).toBeLessThan(ROUNDED);
    expect(Math.abs(logged(sum(stateBytes(header, size))) - logged(llama.stateBytes)), said).toBeLessThan(ROUNDED);
  }
}

describe("keys, values and states are what llama.cpp allocates for them", () => {
  it.each([...TINY_ARCHITECTURES].filter((arch) => !DRAFTS.includes(arch)))("%s", { timeout: 30_000 }, async (arch) => {
    await compare(
      await writeTiny(arch, dir, { hollow: true }),
      CONTEXTS.filter(({ parallel }) => parallel === 1 || !ONE_SEQUENCE.has(arch)),
    );
  });

  const u32 = (value: number): TinyValue => ["u32", value];
  it.each<[string, string, TinyOptions["values"]]>([
    ["llama", "grouped queries", { "attention.head_count": u32(8), "attention.head_count_kv": u32(2) }],
    ["gemma3", "a window wider than the context", { "attention.sliding_window": u32(100_000) }],
    ["gemma2", "a window of its own", { "attention.sliding_window": u32(4096) }],
    [
      "gemma4",
      "layers that share",
      {
        block_count: u32(10),
        "attention.sliding_window_pattern": ["u32", [1, 1, 1, 1, 0, 1, 1, 1, 1, 0]],
        "attention.shared_kv_layers": u32(5),
      },
    ],
    ["exaone4", "a default window", { block_count: u32(64) }],
    ["qwen3", "heads that no block divides", { "attention.key_length": u32(80), "attention.value_length": u32(80) }],
  ])("%s with %s", { timeout: 30_000 }, async (arch, _, values) => {
    await compare(await writeTiny(arch, dir, { values: values ?? {}, hollow: true }), CONTEXTS);
  });

  it("qwen35 with MTP layers, which are not loaded", async () => {
    await compare(await writeRunnable("qwen35-mtp", dir), CONTEXTS);
  });
});

it("a header that llama.cpp would not load has no memory, and says why", async () => {
  const path = await writeTiny("llama", dir, { hollow: true });
  const opened = await openLocalModel(path);
  await opened.close();
  const { model } = opened;
  const { arch, keyTypes, tensors } = model;
  const metadata = new Map([...model.metadata].filter(([key]) => key !== "llama.block_count"));
  const without = new Map([...keyTypes].filter(([key]) => key !== "llama.block_count"));
  expect(readHeaderMemory({ arch, metadata, keyTypes: without, tensors })).toBe("its header lacks llama.block_count");
  expect(readHeaderMemory({ arch: "nothing", metadata, keyTypes, tensors })).toBe(
    "llama.cpp has no architecture nothing",
  );
});
