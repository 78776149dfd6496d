/**
 * How fast each type is on what decodes here: a model of each, timed as models are (speed.ts), all in turn. Kept in the cache
 * per machine and engine. A type is called slow where one of as many bits or more is much faster: it saves no time.
 */
import { mkdtemp, rm } from "node:fs/promises";
import { arch, cpus, tmpdir, totalmem } from "node:os";
import { dirname, join } from "node:path";
import type { Bench } from "../bench.ts";
import { makeFolder } from "../disk/aside-file.ts";
import { cacheKey } from "../disk/cache-key.ts";
import { readSealed, writeSealed } from "../disk/sealed-file.ts";
import * as t from "../documents/fields.ts";
import { findViolation } from "../documents/violation.ts";
import { UsageError } from "../errors.ts";
import { bitsPerWeight, TENSOR_TYPE_NAMES, TENSOR_TYPES, type TensorType } from "../ggml/tensor-types.ts";
import { ALL_LAYERS } from "../open-bench.ts";
import type { MeanSe } from "./evaluation.ts";
import { measureSpeeds, type Speed } from "./speed.ts";
import { GPU_MODEL, PROCESSOR_MODEL, type TypeModelSize, typedWeights, writeTypeModel } from "./type-model.ts";

const RATE = "Billions of weights times tokens per second: a model of 8 billion weights does an eighth of it.";

const TYPE_SPEED = t.object({
  type: t.oneOf(TENSOR_TYPE_NAMES),
  bpw: t.amount(),
  prompt: t.measured(t.amount(), RATE),
  generation: t.measured(t.amount(), RATE),
  slowPrompt: t.optional(t.oneOf(TENSOR_TYPE_NAMES, "A type of as many bits or more that is at least twice as fast.")),
  slowGeneration: t.optional(
    t.oneOf(TENSOR_TYPE_NAMES, "A type of as many bits or more that is at least a quarter faster."),
  ),
});
export interface TypeSpeed extends t.Content<typeof TYPE_SPEED> {}

export const TYPE_SPEEDS = t.object(
  {
    measuredAt: t.text(),
    engine: t.text(),
    devices: t.list(t.prose(), "What decoded."),
    threads: t.count(),
    gpuLayers: t.optional(t.count("Layers that were on a GPU; absent: none.")),
    weights: t.count("Of the model that was timed."),
    promptTokens: t.count(),
    generatedTokens: t.count("In a round, in the shortest."),
    rounds: t.count("In turn; the errors are between their means."),
    steady: t.flag("Rounds differ little. Otherwise the machine does other work: measure again."),
    types: t.list(TYPE_SPEED, "Of fewer bits first."),
  },
  "How fast each type is on this machine.",
);
export interface TypeSpeeds extends t.Content<typeof TYPE_SPEEDS> {}

/** Counts changes of what is measured. */
const METHOD = 1;
/** What a prompt or a generation of a round may take: two dozen types take turns. */
const PACE = { rounds: 3, roundMs: 500 } as const;
/** A type is slow below these parts of the fastest of as many bits or more; a prompt depends on more than the bytes. */
const SLOW = { prompt: 0.5, generation: 0.8 } as const;
const SURE_STANDARD_ERRORS = 2;
/** A usual error above this part of a speed tells of other work. */
const STEADY_ERROR = 0.1;

export interface TypeSpeedsRequest {
  /** Default: those that a planner may choose. */
  readonly types?: readonly TensorType[] | undefined;
  /** Measure again what is in the cache. */
  readonly force?: boolean | undefined;
  /** Of the model; default: one that suits what decodes. */
  readonly size?: TypeModelSize | undefined;
}

/** Measure, or take from the cache. Throws UsageError for an engine of programs. */
export async function typeSpeeds({ force, size, ...asked }: TypeSpeedsRequest, bench: Bench): Promise<TypeSpeeds> {
  const { engine, cache, progress } = bench;
  if (engine.programs !== undefined) {
    throw new UsageError(
      "--types: tokens are timed by the embedded engine; leave --llama-dir out, or use its llama-bench",
    );
  }
  const types = inOrder(asked.types ?? plannedTypes());
  const hasGpu = (engine.info.gpus ?? []).length > 0;
  const gpuLayers = bench.autoLayers ? (hasGpu ? ALL_LAYERS : 0) : bench.gpuLayers;
  const fitted = { ...bench, gpuLayers, autoLayers: false };
  const model = size ?? (gpuLayers > 0 ? GPU_MODEL : PROCESSOR_MODEL);
  const { version, origin, devices, kernels = "" } = engine.info;
  const machine = [arch(), cpus()[0]?.model ?? "", totalmem()];
  const key = cacheKey([
    METHOD,
    ...machine,
    ...[version, origin, devices.join(), kernels],
    ...[bench.threads, gpuLayers, typedWeights(model), types.join()],
  ]);
  const path = cache.dir === undefined ? undefined : join(cache.dir, "types", `${key}.json`);
  const found = path === undefined || force ? undefined : await readKept(path, progress.note);
  if (found !== undefined) {
    progress.note(`measured on ${found.measuredAt.slice(0, 10)}, from the cache; --force measures again`);
    return found;
  }
  const measured = await measureTypes(types, model, fitted);
  if (!measured.steady) {
    progress.note("! the machine does other work: speeds change from round to round, and are not kept; measure again");
  } else if (path !== undefined) {
    await keep(path, measured).catch((error: unknown) =>
      progress.note(`! the speeds are not kept: ${(error as Error).message}`),
    );
  }
  return measured;
}

async function measureTypes(types: readonly TensorType[], model: TypeModelSize, bench: Bench): Promise<TypeSpeeds> {
  const folder = await mkdtemp(join(tmpdir(), "prism-types-"));
  const { engine, threads, gpuLayers } = bench;
  try {
    const paths = types.map((type) => join(folder, `${type}.gguf`));
    const speeds = await measureSpeeds(paths, bench, {
      ...PACE,
      // one file at a time: all of them are gigabytes
      ready: (index) => writeTypeModel(paths[index] as string, types[index] as TensorType, model),
      done: (index) => rm(paths[index] as string, { force: true }),
    });
    const [first] = speeds;
    const weights = typedWeights(model);
    const errors = speeds.flatMap(({ prompt, generation }) => [prompt, generation].map(({ value, se }) => se / value));
    return {
      measuredAt: new Date().toISOString(),
      engine: engine.info.version,
      devices: [...engine.info.devices],
      threads,
      ...(gpuLayers > 0 ? { gpuLayers: Math.min(gpuLayers, model.layers + 1) } : {}),
      weights,
      promptTokens: first?.promptTokens ?? 0,
      generatedTokens: Math.min(...speeds.map(({ generatedTokens }) => generatedTokens)),
      rounds: PACE.rounds,
      steady: (errors.sort((a, b) => a - b)[Math.floor(errors.length / 2)] ?? 0) <= STEADY_ERROR,
      types: judgeTypes(types, speeds, weights),
    };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** The speeds of types in billions of weights a second, and which are slow. */
export function judgeTypes(
  types: readonly TensorType[],
  speeds: readonly Pick<Speed, "prompt" | "generation">[],
  weights: number,
): TypeSpeed[] {
  const perWeight = ({ value, se }: MeanSe) => ({ value: (value * weights) / 1e9, se: (se * weights) / 1e9 });
  const rates = types.flatMap((type, index) => {
    const speed = speeds[index];
    if (speed === undefined) return [];
    const bpw = bitsPerWeight(type);
    return [{ type, bpw, prompt: perWeight(speed.prompt), generation: perWeight(speed.generation) }];
  });
  return rates.map((own) => {
    const larger = rates.filter(({ bpw }) => bpw >= own.bpw);
    const slowPrompt = fasterOf(own, larger, "prompt");
    const slowGeneration = fasterOf(own, larger, "generation");
    return { ...own, ...(slowPrompt && { slowPrompt }), ...(slowGeneration && { slowGeneration }) };
  });
}

/** The fastest of the others, where that is much faster, and surely. */
function fasterOf(own: TypeSpeed, others: readonly TypeSpeed[], what: "prompt" | "generation"): TensorType | undefined {
  const best = others.reduce((most, other) => (other[what].value > most[what].value ? other : most), own);
  const behind = SLOW[what] * best[what].value - own[what].value;
  const error = Math.hypot(SLOW[what] * best[what].se, own[what].se);
  return behind > SURE_STANDARD_ERRORS * error ? best.type : undefined;
}

/** The types that a plan may have. */
function plannedTypes(): TensorType[] {
  return TENSOR_TYPE_NAMES.filter((type) => "candidate" in TENSOR_TYPES[type]);
}

function inOrder(types: readonly TensorType[]): TensorType[] {
  return [...types].sort((a, b) => bitsPerWeight(a) - bitsPerWeight(b));
}

async function keep(path: string, measured: TypeSpeeds): Promise<void> {
  await makeFolder(dirname(path));
  await writeSealed(path, JSON.stringify(measured));
}

async function readKept(path: string, note: (text: string) => void): Promise<TypeSpeeds | undefined> {
  const bytes = await readSealed(path, note);
  if (bytes === undefined) return undefined;
  const found: unknown = JSON.parse(bytes.toString("utf8"));
  return findViolation(TYPE_SPEEDS, found) === undefined ? (found as TypeSpeeds) : undefined;
}
