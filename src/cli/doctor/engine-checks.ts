/** The engine, tried: its package, a round trip of weights through the real quantizer, and a model quantized. */
import { mkdtemp, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Engine, requireLibrary } from "../../engine/engine.ts";
import { type OpenEngineOptions, openEngine } from "../../engine/open-engine.ts";
import { describePackage, findEnginePackage } from "../../engine/package.ts";
import { damageOf } from "../../engine/package-damage.ts";
import { openModel } from "../../gguf/open.ts";
import { formatInteger } from "../../numbers.ts";
import { inspect } from "../../preflight/inspect.ts";
import { createRandom } from "../../random.ts";
import { attempt, type Check, failed } from "./check.ts";
import { gpuChecks } from "./gpu-checks.ts";
import { writeSmallModel } from "./small-model.ts";

export interface EngineCheckOptions extends Pick<OpenEngineOptions, "threads" | "llamaDir"> {
  readonly signal: AbortSignal;
}

/** What the small model is quantized to. */
const PRESET = "Q4_K_M";

const ROW_ELEMENTS = 1024;
const ROWS = 256;
const BAND_ROWS = 64;
/** Relative squared error that evenly spread numbers have in Q4_K, with room on both sides. */
const CREDIBLE_DISTORTION = [1e-4, 2e-2] as const;
/** Milliseconds of round trips. */
const MEASURE_MS = 500;

/** Try the engine. What fails is reported, not thrown; an engine that is not there is `missing`. */
export async function engineChecks(options: EngineCheckOptions): Promise<Check[]> {
  const { threads, llamaDir } = options;
  const checks = [packageCheck(llamaDir !== undefined)];
  let engine: Engine;
  try {
    engine = await openEngine({ threads, llamaDir });
  } catch (error) {
    return [...checks, failed("engine", error)];
  }
  try {
    const { version, origin, devices, kernels } = engine.info;
    const from = engine.programs === undefined ? "embedded" : `programs in ${origin}`;
    const detail = [`llama.cpp ${version}, ${from}`, ...devices].join("; ");
    checks.push({ name: "engine", status: "ok", detail });
    if (kernels !== undefined) checks.push(kernelsCheck(kernels));
    checks.push(await attempt("round trip", () => tryRoundTrip(engine, threads)));
    checks.push(await visionCheck(engine));
    checks.push(await attempt("quantize", () => tryQuantize(engine, options)));
    checks.push(...(await gpuChecks(engine, options)));
    return checks;
  } finally {
    await engine.close();
  }
}

/** Native kernels are a convenience too. */
function kernelsCheck(kernels: string): Check {
  const plain = kernels.startsWith("TypeScript");
  const check = { name: "engine kernels", detail: `round trips and logits: ${kernels}` };
  if (!plain) return { ...check, status: "ok" };
  return { ...failed("engine kernels", `round trips and logits: ${kernels}`), status: "absent" };
}

/** Images are for rerankers that read them. */
async function visionCheck({ library }: Engine): Promise<Check> {
  if (!library?.seesImages) {
    const remedy =
      "prism doctor --build-mtmd builds it; a llama-server with a projector can score images too (--server)";
    return { name: "images", status: "absent", detail: "libmtmd is not built", remedy };
  }
  return attempt("images", async () => `libmtmd reads them, ${await library.tryVision?.()}`);
}

function packageCheck(replaced: boolean): Check {
  try {
    const found = findEnginePackage();
    const damage = damageOf(found);
    if (damage !== undefined) throw new Error(damage);
    return { name: "engine package", status: "ok", detail: describePackage(found) };
  } catch (error) {
    return replaced ? { ...failed("engine package", error), status: "absent" } : failed("engine package", error);
  }
}

async function tryRoundTrip(engine: Engine, threads: number): Promise<string> {
  const random = createRandom(1);
  const weights = Float32Array.from({ length: ROWS * ROW_ELEMENTS }, () => random() - 0.5);
  const job = {
    sourceType: "F32",
    rowElements: ROW_ELEMENTS,
    data: new Uint8Array(weights.buffer),
    bandRows: BAND_ROWS,
    types: ["Q4_K"],
  } as const;
  const started = performance.now();
  let done = 0;
  let distortion = 0;
  do {
    const results = await Promise.all(Array.from({ length: threads }, () => requireLibrary(engine).roundTrip(job)));
    const [first] = results;
    distortion = total(first?.error.Q4_K) / total(first?.power);
    done += results.length;
  } while (performance.now() - started < MEASURE_MS);
  const [least, most] = CREDIBLE_DISTORTION;
  if (!(distortion > least && distortion < most)) {
    throw new Error(`Q4_K changed weights by ${distortion}, expected ${least} to ${most}; install the package again`);
  }
  const seconds = (performance.now() - started) / 1000;
  return `Q4_K there and back, ${((done * weights.length) / seconds / 1e6).toFixed(1)} million weights per second`;
}

async function tryQuantize(engine: Engine, { threads, signal }: EngineCheckOptions): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "prism-doctor-"));
  try {
    const source = join(folder, "small.gguf");
    await writeSmallModel(source);
    const file = await openModel(source);
    await file.close();
    const expected = inspect(file.model).presets.find(({ fileType }) => fileType === PRESET)?.fileBytes;
    const output = join(folder, "quantized.gguf");
    const started = performance.now();
    await engine.quantize({ source, output, fileType: PRESET, overrides: [], threads, signal });
    const seconds = (performance.now() - started) / 1000;
    const { size } = await stat(output);
    if (size !== expected) {
      throw new Error(`a small model has ${size} bytes as ${PRESET}, predicted ${expected}; use llama.cpp v0.5.0`);
    }
    return `a small model to ${PRESET} in ${seconds.toFixed(1)} s, ${formatInteger(size)} bytes as predicted`;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

function total(values: Float64Array | undefined): number {
  return values?.reduce((sum, value) => sum + value, 0) ?? 0;
}
