/**
 * The embedded engine: llama.cpp from npm, in child processes. Round trips and rewrites are spread over a pool of children, one per
 * thread; quantizing and evaluating have a child of their own, which uses all threads inside ggml.
 */
import { tmpdir } from "node:os";
import { join } from "node:path";
import { EngineError } from "../errors.ts";
import { parseTensorType } from "../ggml/tensor-types.ts";
import type { QuantizeCall } from "./child/quantize.ts";
import { EngineChild, LOG_TAIL_LINES } from "./child-process.ts";
import { loadEmbedded } from "./embedded-model.ts";
import { loadRanker } from "./embedded-ranker.ts";
import type {
  Engine,
  EngineInfo,
  JobResources,
  Library,
  QuantizeJob,
  QuantizeOutcome,
  RoundTripResult,
} from "./engine.ts";
import { changeOf, noteModel } from "./files-read.ts";
import { measureMemory } from "./measure-memory.ts";
import { openBestChild } from "./open-child.ts";
import { describePackage, type EnginePackage, findEnginePackage, LLAMA_VERSION } from "./package.ts";
import { parseQuantizeLog } from "./quantize-log.ts";
import { createRoundTripPool } from "./round-trip-pool.ts";
import { tryLoad } from "./try-load.ts";
import { findVisionLibrary } from "./vision-library.ts";

export type EmbeddedEngine = Engine & { readonly library: Library };

export interface EmbeddedOptions extends Pick<JobResources, "threads"> {
  /** 0 by default; any other number needs a GPU build of the package, "auto" takes one where it finds a device. */
  readonly gpuLayers?: number | "auto" | undefined;
  /** Only this GPU build, where one is looked for. */
  readonly build?: EnginePackage | undefined;
  /** Told why a GPU build that is installed is not used. */
  readonly note?: ((text: string) => void) | undefined;
}

/**
 * Start the embedded engine. Throws EngineError (missing) where its package is not there, of another version or
 * unloadable, or where layers are asked for on a GPU that no build can use; EngineError where its process was ended while
 * it opened.
 */
export async function openEmbeddedEngine(options: EmbeddedOptions): Promise<EmbeddedEngine> {
  const found = findEnginePackage();
  const { child: model, origin, ...opened } = await openBestChild(found, options);
  const info: EngineInfo = {
    kind: "embedded",
    version: LLAMA_VERSION,
    origin: describePackage(origin),
    ...opened,
  };
  const children = Array.from({ length: Math.max(1, options.threads) }, () => new EngineChild(found));
  const vision = findVisionLibrary(origin);
  const pool = createRoundTripPool(children.map((child) => (job) => child.call<RoundTripResult>("roundTrip", job)));
  return {
    info,
    // one build makes the same file whatever decodes it
    quantize: (job) => quantize(origin.dir === found.dir ? model : (children[0] ?? model), job),
    library: {
      roundTrip: (job) => pool.run(job),
      // in one process, whose tables all its threads share
      encode: (job) => (children[0] ?? model).call("encodeRows", { ...job, threads: options.threads }),
      async rewrite(job) {
        const share = (index: number) => job.tensors.filter((_, i) => i % children.length === index);
        const reads = noteModel(job.from);
        await Promise.all(
          children.map((child, index) => child.call("rewrite", { ...job, tensors: share(index) }, { reads })),
        );
      },
      load: (load) => loadEmbedded(model, load),
      tryLoad: (asked) => tryLoad(new EngineChild(found), asked),
      async measureMemory(asked) {
        // a failed assert ends the process, and nothing that is loaded elsewhere
        const child = new EngineChild(origin);
        try {
          return await measureMemory(child, asked);
        } finally {
          await child.close();
        }
      },
      seesImages: vision !== undefined,
      ...(vision !== undefined && { tryVision: () => model.call<string>("tryVision", vision) }),
      loadRanker: (load) => loadRanker(model, { ...load, vision }),
    },
    async close() {
      await Promise.all([model, ...children].map((child) => child.close()));
    },
  };
}

async function quantize(child: EngineChild, job: QuantizeJob): Promise<QuantizeOutcome> {
  const lines: string[] = [];
  const { source, fileType, overrides, threads, imatrix, notes } = job;
  const request: QuantizeCall = {
    ...{ source, fileType, overrides, threads, imatrix, notes },
    // A dry run writes nothing, but the library still wants a name that is not the source's.
    output: job.dryRun ? join(tmpdir(), "prism-dry-run.gguf") : job.output,
    dryRun: job.dryRun ?? false,
    allowRequantize: job.allowRequantize ?? false,
    fixAlignment: job.fixAlignment ?? false,
  };
  const reads = noteModel(source);
  const code = await child.call<number>("quantize", request, {
    signal: job.signal,
    reads,
    onLog(line) {
      lines.push(line);
      const progress = /^\[\s*(\d+)\/\s*(\d+)\]/.exec(line);
      if (progress !== null) job.onProgress?.(Number(progress[1]), Number(progress[2]));
    },
  });
  if (code !== 0) {
    const logTail = lines.slice(-LOG_TAIL_LINES);
    const error = new EngineError(`llama.cpp could not quantize ${source}`, { logTail });
    throw changeOf(reads, false, error) ?? error;
  }
  return parseQuantizeLog(lines, parseTensorType);
}
