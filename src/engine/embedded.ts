/**
 * The embedded engine: llama.cpp from npm, in child processes. Round trips and rewrites are spread over a pool of children, one per
 * thread; quantizing and evaluating have a child of their own, which uses all threads inside ggml.
 */
import { tmpdir } from "node:os";
import { join } from "node:path";
import { EngineError } from "../errors.ts";
import { parseTensorType } from "../ggml/tensor-types.ts";
import type { Device } from "./child/main.ts";
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
import {
  describePackage,
  type EnginePackage,
  findEnginePackage,
  findGpuPackages,
  LLAMA_VERSION,
  PACKAGE_VERSION,
  reinstallRemedy,
} from "./package.ts";
import { damageOf } from "./package-damage.ts";
import { wasEndedFromOutside } from "./process-end.ts";
import { parseQuantizeLog } from "./quantize-log.ts";
import { createRoundTripPool } from "./round-trip-pool.ts";

export type EmbeddedEngine = Engine & { readonly library: Library };

/** `gpuLayers`: anything but 0 looks for a GPU build of the package. */
export type EmbeddedOptions = Pick<JobResources, "threads"> & Partial<Pick<JobResources, "gpuLayers">>;

/**
 * Start the embedded engine. Throws EngineError (missing) where its package is not there, of another version or
 * unloadable, or where layers are asked for on a GPU that no build can use; EngineError where its process was ended while
 * it opened.
 */
export async function openEmbeddedEngine(options: EmbeddedOptions): Promise<EmbeddedEngine> {
  const found = findEnginePackage();
  const { child: model, devices, kernels, origin } = options.gpuLayers ? await openGpuChild() : await openChild(found);
  const info: EngineInfo = {
    kind: "embedded",
    version: LLAMA_VERSION,
    origin: describePackage(origin),
    devices,
    kernels,
  };
  const children = Array.from({ length: Math.max(1, options.threads) }, () => new EngineChild(found));
  const pool = createRoundTripPool(children.map((child) => (job) => child.call<RoundTripResult>("roundTrip", job)));
  return {
    info,
    quantize: (job) => quantize(model, job),
    library: {
      roundTrip: (job) => pool.run(job),
      async rewrite(job) {
        const share = (index: number) => job.tensors.filter((_, i) => i % children.length === index);
        const reads = noteModel(job.from);
        await Promise.all(
          children.map((child, index) => child.call("rewrite", { ...job, tensors: share(index) }, { reads })),
        );
      },
      load: (load) => loadEmbedded(model, load),
      loadRanker: (load) => loadRanker(model, load),
    },
    async close() {
      await Promise.all([model, ...children].map((child) => child.close()));
    },
  };
}

interface OpenChild {
  readonly child: EngineChild;
  readonly origin: EnginePackage;
  /** "CPU: AMD EPYC", "CUDA0: NVIDIA H200". */
  readonly devices: readonly string[];
  readonly hasGpu: boolean;
  readonly kernels: string;
}

async function openChild(found: EnginePackage): Promise<OpenChild> {
  const child = new EngineChild(found);
  try {
    const opened = child.call<Device[]>("devices", undefined);
    // looked for while the process starts; what it says of a damaged library does not matter
    const damage = damageOf(found);
    if (damage !== undefined) {
      opened.catch(() => undefined);
      throw new EngineError(damage, { missing: true });
    }
    const devices = await opened;
    return {
      child,
      origin: found,
      devices: devices.map(({ name, description }) => `${name}: ${description}`),
      hasGpu: devices.some(({ isGpu }) => isGpu),
      kernels: await child.call<string>("kernels", undefined),
    };
  } catch (error) {
    await child.close();
    throw openError(found, error as EngineError);
  }
}

/** Who was killed or had no memory says so; all else is the package's fault. */
function openError(found: EnginePackage, error: EngineError): EngineError {
  const isSaid = error.code === "engine-missing" || wasEndedFromOutside(error.ended ?? error.message, error.logTail);
  if (isSaid) return error;
  const { ended, logTail } = error;
  const why = ended === undefined ? error.message.split("\n")[0] : `the process that loads it ended (${ended})`;
  const message = `${found.name} can't be used here: ${why}; ${reinstallRemedy(found)}`;
  return new EngineError(message, { missing: true, logTail, cause: error });
}

/** The first GPU build that finds a device. */
async function openGpuChild(): Promise<OpenChild> {
  const problems: string[] = [];
  for (const found of findGpuPackages()) {
    if (typeof found === "string") {
      problems.push(found);
      continue;
    }
    const opened = await openChild(found).catch((error: EngineError) => {
      if (error.code !== "engine-missing") throw error;
      return error.message;
    });
    if (typeof opened === "string") problems.push(opened);
    else if (opened.hasGpu) return opened;
    else {
      await opened.child.close();
      problems.push(`${found.name} finds no GPU (its driver is missing or no device is visible)`);
    }
  }
  const tried = problems.length > 0 ? problems.join("; ") : `no GPU build for ${process.platform}-${process.arch}`;
  throw new EngineError(
    `--gpu-layers: ${tried}; install a build that fits (npm install @node-llama-cpp/linux-x64-cuda@${PACKAGE_VERSION}, say), or leave --gpu-layers out`,
    { missing: true },
  );
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
