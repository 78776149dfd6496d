import { DEFAULT_MEMORY_BYTES } from "../src/analyze/memory-budget.ts";
import { type Bench, DEFAULT_LOGITS_LIMIT_BYTES, SILENT } from "../src/bench.ts";
import type { Engine } from "../src/engine/engine.ts";
import { referenceBackend } from "../src/kernels/reference.ts";

/** A bench around `engine` that keeps nothing, is never aborted and tells nobody, but for what is given. */
export function testBench(engine: Engine, overrides: Partial<Omit<Bench, "engine">> = {}): Bench {
  return {
    engine,
    backend: async () => referenceBackend(),
    threads: 1,
    gpuLayers: 0,
    seed: 0,
    memoryBytes: DEFAULT_MEMORY_BYTES,
    cache: { logitsLimitBytes: DEFAULT_LOGITS_LIMIT_BYTES },
    signal: new AbortController().signal,
    progress: SILENT,
    ...overrides,
  };
}
