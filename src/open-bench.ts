/** Opens a bench: the engine that is found, and what else a person or a program chose. */
import { setMaxListeners } from "node:events";
import { availableParallelism } from "node:os";
import { DEFAULT_MEMORY_BYTES } from "./analyze/memory-budget.ts";
import { type Bench, DEFAULT_LOGITS_LIMIT_BYTES, type Progress, SILENT } from "./bench.ts";
import { defaultCacheDir } from "./disk/cache-dir.ts";
import { openEngine } from "./engine/open-engine.ts";
import type { Backend } from "./kernels/backend.ts";
import { compileMissingKernels } from "./kernels/compile-kernels.ts";
import { followDescription, openBackend } from "./kernels/open-backend.ts";
import { withDefaults } from "./present.ts";

export interface BenchOptions {
  /** What computes the metrics: auto, native, webgpu, tfjs or reference. */
  readonly backend?: string | undefined;
  /** Threads to compute with; by default the processors here. */
  readonly threads?: number | undefined;
  /** Layers on a GPU; a number but 0 needs a GPU build of the engine. auto: as many as fit where there is one, else 0. */
  readonly gpuLayers?: number | "auto" | undefined;
  /** A llama.cpp build whose programs quantize and evaluate instead of the embedded library. */
  readonly llamaDir?: string | undefined;
  /** What everything random starts from: an unsigned integer of 32 bits. */
  readonly seed?: number | undefined;
  /** Bytes of weights in memory at once. */
  readonly memoryBytes?: number | undefined;
  /** Where analyses, texts, logits, sums of inputs and fetched parts are kept; "none": nothing is. By default the platform's cache folder. */
  readonly cacheDir?: string | undefined;
  /** Bytes that the logits of references may take on disk; sums of inputs half as many. */
  readonly logitsLimitBytes?: number | undefined;
  /** Aborting it stops what works at the bench, which throws its reason. */
  readonly signal?: AbortSignal | undefined;
  readonly progress?: Progress | undefined;
}

export const BENCH_DEFAULTS = {
  backend: "auto",
  gpuLayers: "auto",
  seed: 0,
  memoryBytes: DEFAULT_MEMORY_BYTES,
  logitsLimitBytes: DEFAULT_LOGITS_LIMIT_BYTES,
  progress: SILENT,
} as const satisfies BenchOptions;

/** Layers that mean "all of them" to llama.cpp. */
export const ALL_LAYERS = 999;

export interface OpenedBench extends Bench {
  /** End the engine's processes and the backend. */
  close(): Promise<void>;
}

/**
 * Open a bench. Throws EngineError (missing) where no llama.cpp is found, BackendError for a backend that was asked for
 * by name and can't be used.
 */
export async function openBench(options: BenchOptions = {}): Promise<OpenedBench> {
  const asked = withDefaults<BenchOptions, typeof BENCH_DEFAULTS>(BENCH_DEFAULTS, options);
  const { progress, gpuLayers, llamaDir, seed, memoryBytes, logitsLimitBytes, cacheDir } = asked;
  const threads = asked.threads ?? availableParallelism();
  const signal = asked.signal ?? new AbortController().signal;
  // every piece of work listens to it
  setMaxListeners(0, signal);
  const backend = lazyBackend(asked.backend, threads, progress);
  await compileMissingKernels({ note: progress.note, signal });
  if (asked.backend !== "auto") await backend.open();
  const engine = await openEngine({ threads, gpuLayers, llamaDir, note: progress.note }).catch(
    async (error: unknown) => {
      await backend.close();
      throw error;
    },
  );
  return {
    engine,
    backend: backend.open,
    threads,
    gpuLayers: gpuLayers === "auto" ? 0 : gpuLayers,
    autoLayers: gpuLayers === "auto",
    seed,
    memoryBytes,
    cache: { dir: cacheDir === "none" ? undefined : (cacheDir ?? defaultCacheDir()), logitsLimitBytes },
    signal,
    progress,
    async close() {
      await Promise.all([engine.close(), backend.close()]);
    },
  };
}

/** A backend is opened by who needs it first, and how its description changed is said at the end. */
function lazyBackend(name: string, threads: number, { note }: Progress) {
  let opening: Promise<Backend> | undefined;
  let noteChange: ReturnType<typeof followDescription> | undefined;
  return {
    open(): Promise<Backend> {
      opening ??= openBackend(name, threads).then((backend) => {
        noteChange = followDescription(backend);
        return backend;
      });
      return opening;
    },
    async close(): Promise<void> {
      const backend = await opening?.catch(() => undefined);
      noteChange?.(note);
      await backend?.close();
    },
  };
}
