/** The GPUs, tried: each build of the engine for one, in its own process, decodes a little on each of its devices. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type EmbeddedEngine, openEmbeddedEngine } from "../../engine/embedded.ts";
import type { Engine, GpuDevice, Library, LoadedModel } from "../../engine/engine.ts";
import { createLogitsFile } from "../../engine/logits-file.ts";
import { type EnginePackage, findGpuPackages, PACKAGE_VERSION } from "../../engine/package.ts";
import { chunkMeans } from "../../evaluate/statistics.ts";
import { formatSize } from "../../numbers.ts";
import { ALL_LAYERS } from "../../open-bench.ts";
import { attempt, type Check, failed } from "./check.ts";
import { VOCABULARY, writeSmallModel } from "./small-model.ts";

export interface GpuCheckOptions {
  readonly threads: number;
  readonly signal: AbortSignal;
}

/** Few enough that nothing of the processor's is computed on a GPU. */
const TOKENS = { context: 16, chunks: 1, ids: Int32Array.from({ length: 16 }, (_, i) => (37 * i + 5) % VOCABULARY) };
const WHOLE = { tokens: TOKENS, first: 0, count: TOKENS.chunks };
/** Nats from the processor's logits: rounding gives a fiftieth of that, a broken driver more. */
const CREDIBLE_KLD = 0.01;
/** A device that has not decoded by then hangs. */
const PATIENCE_MS = 300_000;

/** Try every GPU of every build that is installed. A GPU is a convenience: without one nothing is missing. */
export async function gpuChecks(processor: Engine, options: GpuCheckOptions): Promise<Check[]> {
  const builds = findGpuPackages();
  const installed = [...builds.values()].filter((found) => found !== undefined);
  if (installed.length === 0 || processor.library === undefined) {
    const names = [...builds.keys()];
    const detail = names.length === 0 ? "no GPU build for this platform" : `${names.join(" and ")}: not installed`;
    const remedy = names.length === 0 ? {} : { remedy: `npm install ${names[0]}@${PACKAGE_VERSION}, for a GPU` };
    return [{ name: "gpu", status: "absent", detail, ...remedy }];
  }
  const folder = await mkdtemp(join(tmpdir(), "prism-doctor-gpu-"));
  try {
    const place = { model: join(folder, "small.gguf"), logits: join(folder, "logits"), ...options };
    await writeSmallModel(place.model);
    await keepLogits(processor.library, place);
    const checks: Check[] = [];
    for (const found of installed) {
      checks.push(...(typeof found === "string" ? [failed("gpu", new Error(found))] : await tryBuild(found, place)));
    }
    return checks.map((check) => (check.status === "missing" ? { ...check, status: "absent" } : check));
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

interface Place extends GpuCheckOptions {
  readonly model: string;
  readonly logits: string;
}

/** What the processor says. */
async function keepLogits(library: Library, { model, logits, threads, signal }: Place): Promise<void> {
  const loaded = await library.load({ model, context: TOKENS.context, threads, gpuLayers: 0, signal });
  await createLogitsFile(logits, TOKENS, VOCABULARY);
  await loaded.score({ ...WHOLE, writeLogits: logits, signal }).finally(() => loaded.close());
}

async function tryBuild(build: EnginePackage, place: Place): Promise<Check[]> {
  let engine: EmbeddedEngine | undefined;
  try {
    engine = await openEmbeddedEngine({ threads: place.threads, gpuLayers: 1, build });
    const checks: Check[] = [];
    for (const gpu of engine.info.gpus ?? []) {
      const { library } = engine;
      checks.push(await attempt(`gpu ${gpu.name}`, () => tryDevice(library, gpu, place)));
    }
    return checks;
  } catch (error) {
    place.signal.throwIfAborted();
    return [failed("gpu", error)];
  } finally {
    await engine?.close();
  }
}

/** Throws an Error where the device fails, or computes something else than the processor. */
async function tryDevice(library: Library, gpu: GpuDevice, place: Place): Promise<string> {
  const { model, threads, signal } = place;
  const limited = AbortSignal.any([signal, AbortSignal.timeout(PATIENCE_MS)]);
  const job = { model, context: TOKENS.context, threads, gpuLayers: ALL_LAYERS, device: gpu.name, signal: limited };
  let loaded: LoadedModel | undefined;
  try {
    loaded = await library.load(job);
    const {
      nll,
      referenceNll = [],
      kld = new Float64Array(),
    } = await loaded.score({
      ...WHOLE,
      reference: { logits: place.logits },
      signal: limited,
    });
    const [mean = Number.NaN] = chunkMeans(kld, 1);
    const off = Math.max(...nll.map((value, at) => Math.abs(value - (referenceNll[at] ?? Number.NaN))));
    const differs = `KLD ${mean.toExponential(1)} from the processor's, ln p off by ${off.toExponential(1)} at most`;
    if (!(mean < CREDIBLE_KLD)) throw new Error(`${differs}, which is no rounding`);
    const memory = `${formatSize(gpu.freeBytes)} free of ${formatSize(gpu.totalBytes)}`;
    return `${gpu.description}, ${memory}; decodes: ${differs}`;
  } catch (error) {
    signal.throwIfAborted();
    const why = (error as Error).message.split("\n")[0];
    throw new Error(`${gpu.description}: ${why}; update its driver, or give --gpu-layers 0`, { cause: error });
  } finally {
    await loaded?.close();
  }
}
