/**
 * What contexts take of memory, computed from headers, against what llama.cpp reports when it makes them.
 *
 *   npx tsx bench/memory.ts [MODEL.gguf ...]     the bundled model, files of published sizes without weights, and these
 */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { EngineChild } from "../src/engine/child-process.ts";
import type { MemoryContext } from "../src/engine/engine.ts";
import { measureMemory } from "../src/engine/measure-memory.ts";
import { findEnginePackage } from "../src/engine/package.ts";
import { computeBytes } from "../src/footprint/compute-buffers.ts";
import { contextSize } from "../src/footprint/context-size.ts";
import { readHeaderMemory } from "../src/footprint/header-memory.ts";
import { kvCacheBytes, kvTypesRefusal } from "../src/footprint/kv-cache.ts";
import { stateBytes } from "../src/footprint/recurrent-state.ts";
import { openLocalModel } from "../src/gguf/open.ts";
import { formatTable } from "../src/report/terminal/table.ts";
import { SIZED_MODELS } from "../test/fixtures/sized-models.ts";
import { writeTiny } from "../test/fixtures/tiny-models.ts";
import { recordResult } from "./results.ts";

const F16 = { k: "F16", v: "F16" } as const;
const Q8_0 = { k: "Q8_0", v: "Q8_0" } as const;
const CONTEXTS: readonly MemoryContext[] = [
  { context: 8192, parallel: 1, kv: F16, ubatch: 512 },
  { context: 32_768, parallel: 1, kv: Q8_0, ubatch: 512 },
  { context: 131_072, parallel: 4, kv: F16, ubatch: 512 },
];
const MIB = 2 ** 20;

const folder = await mkdtemp(join(tmpdir(), "prism-memory-"));
const child = new EngineChild(findEnginePackage());
const rows: string[][] = [];
const figures: Record<string, unknown>[] = [];
const sum = (bytes: readonly number[]) => bytes.reduce((total, each) => total + each, 0);

async function compare(name: string, path: string): Promise<void> {
  const open = await openLocalModel(path);
  await open.close();
  const header = readHeaderMemory(open.model);
  if (typeof header === "string") throw new RangeError(`${name}: ${header}`);
  const measured = await measureMemory(child, { model: path, contexts: CONTEXTS, gpuLayers: 0 });
  for (const [index, request] of CONTEXTS.entries()) {
    const llama = measured[index];
    const size = contextSize(header, request);
    if (llama === undefined) {
      const refusal = kvTypesRefusal(header, size);
      if (refusal === undefined) throw new RangeError(`${name}: llama.cpp makes no context, and nobody knows why`);
      continue;
    }
    const kv = sum(kvCacheBytes(header, size));
    const state = sum(stateBytes(header, size));
    const estimate = computeBytes(header, size);
    const computed = sum([...llama.computeBytes.values()]);
    const { context, parallel } = request;
    figures.push({ name, context, parallel, kv: request.kv.k, kvBytes: kv, stateBytes: state, estimate, computed });
    rows.push([
      index === 0 ? name : "",
      `${context} × ${parallel} ${request.kv.k}`,
      ...[kv + state, llama.kvBytes + llama.stateBytes, estimate, computed].map((bytes) => (bytes / MIB).toFixed(2)),
      `${estimate < computed ? "" : "+"}${((estimate - computed) / MIB).toFixed(1)}`,
    ]);
  }
}

try {
  for (const path of ["models/books-llama-8m-f16.gguf", ...process.argv.slice(2)]) {
    await compare(path.replace(/^.*\//, ""), path);
  }
  for (const { name, arch, values } of SIZED_MODELS) {
    const path = await writeTiny(arch, folder, { values, hollow: true });
    await compare(name, path);
    await rm(path);
  }
} finally {
  await child.close();
  await rm(folder, { recursive: true });
}
const headers = ["MiB", "context", "cache", "llama.cpp", "computing", "llama.cpp", "off by"];
console.log(
  formatTable(
    headers.map((header, column) => ({ header, align: column > 1 ? "right" : "left" })),
    rows,
  ),
);
console.log(`recorded in ${await recordResult({ bench: "memory", figures: { contexts: figures } })}`);
