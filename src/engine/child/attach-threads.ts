/**
 * Keeps ggml's threads between decodes, as llama-perplexity does (common_threadpools::init): without a pool attached,
 * ggml starts and ends them with every graph, of which a batch has one per 512 tokens.
 */
import koffi from "koffi";
import type { LlamaLibrary, Pointer } from "./llama-library.ts";

/** GGML_BACKEND_DEVICE_TYPE_CPU. */
const CPU_DEVICE = 0;

/** One for each number of threads; contexts share them, since decodes run one after another. */
const pools = new Map<number, Pointer>();

/** Let a context compute with threads that last. Where the library can't make a pool, it computes without. */
export function attachThreads(library: LlamaLibrary, context: Pointer, threads: number): void {
  if (threads < 2) return;
  const pool = pools.get(threads) ?? createPool(library, threads);
  if (pool === null) return;
  pools.set(threads, pool);
  library.attachThreadpool(context, pool, pool);
}

function createPool(library: LlamaLibrary, threads: number): Pointer | null {
  const device = library.deviceOfType(CPU_DEVICE);
  if (device === null) return null;
  const create = library.backendFunction(library.registryOf(device), "ggml_threadpool_new");
  if (create === null) return null;
  const params = library.threadpoolDefaults(threads);
  // Sleep between graphs instead of looking for work: the score workers need the processors then.
  params.poll = 0;
  return koffi.call(create, library.newThreadpool, params) as Pointer | null;
}
