/**
 * The options that mean the same on every command. A command declares those that do something there.
 * Values are checked when they are parsed; messages name the option.
 */
import { availableParallelism } from "node:os";
import { type Command, Option } from "commander";
import { parseSize } from "../allocate/budget.ts";
import { DEFAULT_MEMORY_BYTES, LEAST_MEMORY_BYTES } from "../analyze/memory-budget.ts";
import { UsageError } from "../errors.ts";
import { ALL_LAYERS, BENCH_DEFAULTS, type BenchOptions } from "../open-bench.ts";
import type { Exact } from "../verbs/planning-request.ts";

/** A seed is an unsigned integer of 32 bits. */
const MAX_SEED = 2 ** 32 - 1;

/** What a command takes that only reads parts of a model. */
export const MODEL_ARGUMENT =
  "a GGUF file or the first of its shards: a path, https://..., or hf:owner/repo/file.gguf[@rev]";

const jsonOption = () => new Option("--json", "print exactly one JSON document on stdout");

const quietOption = () => new Option("--quiet", "no progress and no notes on stderr, only errors");

const progressOption = () =>
  new Option("--progress <how>", "auto: a bar on a terminal, lines elsewhere; json: one JSON object a line on stderr")
    .choices(["auto", "json"])
    .default("auto");

const threadsOption = () =>
  new Option("--threads <n>", "threads to compute with")
    .argParser((text) => parseInteger("--threads", text, 1, 1024))
    .default(availableParallelism(), `${availableParallelism()}, the processors here`);

const backendOption = () =>
  new Option("--backend <name>", "what computes the metrics: auto, native, webgpu, tfjs or reference").default(
    BENCH_DEFAULTS.backend,
  );

const llamaDirOption = () =>
  new Option("--llama-dir <dir>", "use the programs of this llama.cpp build instead of the embedded library");

const seedOption = () =>
  new Option("--seed <n>", "seed of everything random")
    .argParser((text) => parseInteger("--seed", text, 0, MAX_SEED))
    .default(BENCH_DEFAULTS.seed);

const forceOption = () => new Option("--force", "replace output files that exist");

const cacheOption = () =>
  new Option(
    "--no-cache",
    "keep nothing in the cache (analyses, texts, logits, sums of inputs, parts of remote models), and use none of it",
  );

const cacheLimitOption = () =>
  new Option(
    "--cache-limit <size>",
    "disk for the reference's logits, and half of it for sums of inputs; default 16GB; more is decoded again",
  ).argParser(parseSize);

const gpuLayersOption = () =>
  new Option("--gpu-layers <n>", "layers on the GPU, all, or auto: as many as fit, where a GPU build is installed")
    .argParser(parseLayers)
    .default(BENCH_DEFAULTS.gpuLayers);

function parseLayers(text: string): number | "auto" {
  if (text === "auto") return text;
  if (text === "all") return ALL_LAYERS;
  if (/^\d+$/.test(text)) return parseInteger("--gpu-layers", text, 0, ALL_LAYERS);
  throw new UsageError(`--gpu-layers: expected a whole number, all or auto, got "${text}"`);
}

const strictOption = () =>
  new Option("--strict", "exit with 3 where preflight finds an error or a warning in the model");

const forceFindingsOption = () =>
  new Option("--force-findings", "go on with a model that llama.cpp does not load, for those who know better");

const memoryOption = () =>
  new Option("--memory <size>", "memory for weights at once, like 1GiB or 500MB")
    .argParser(parseMemory)
    .default(DEFAULT_MEMORY_BYTES, "1GiB");

export const exactOption = () =>
  new Option(
    "--exact [what]",
    "compute the metrics over every weight; --exact=distortion also quantizes every weight in each type",
  )
    .preset("metrics")
    .argParser(parseExact);

function parseExact(text: string): Exact {
  if (text === "metrics" || text === "distortion") return text;
  throw new UsageError(`--exact: expected nothing or distortion, got "${text}"`);
}

export function parseMemory(text: string): number {
  const bytes = parseSize(text);
  if (bytes >= LEAST_MEMORY_BYTES) return bytes;
  throw new UsageError(
    `--memory ${text}: expected at least ${LEAST_MEMORY_BYTES / 2 ** 20}MiB, the largest piece of a tensor`,
  );
}

/** The options that mean the same in every command that has them; a command names those it takes. */
const SHARED = {
  "gpu-layers": gpuLayersOption,
  "cache-limit": cacheLimitOption,
  threads: threadsOption,
  backend: backendOption,
  exact: exactOption,
  memory: memoryOption,
  "llama-dir": llamaDirOption,
  seed: seedOption,
  strict: strictOption,
  "force-findings": forceFindingsOption,
  cache: cacheOption,
  force: forceOption,
} as const;

/** What every command has. */
const EVERYWHERE = [jsonOption, progressOption, quietOption] as const;

/** Add shared options to a command, and those that every command has. */
export function addSharedOptions(command: Command, ...names: readonly (keyof typeof SHARED)[]): Command {
  for (const name of names) command.addOption(SHARED[name]());
  for (const option of EVERYWHERE) command.addOption(option());
  return command;
}

/** What they are to a command; a command has those that it named. */
export interface SharedOptions extends Pick<BenchOptions, "threads" | "backend" | "gpuLayers" | "llamaDir" | "seed"> {
  readonly cacheLimit?: number;
  readonly memory?: number;
  readonly exact?: Exact;
  readonly strict?: boolean;
  readonly forceFindings?: boolean;
  /** commander's name for --no-cache. */
  readonly cache?: boolean;
  readonly force?: boolean;
  readonly json?: boolean;
  readonly quiet?: boolean;
}

/** Parse a whole number. Throws UsageError outside `min` to `max`. */
export function parseInteger(option: string, text: string, min: number, max: number): number {
  const value = /^[+-]?\d+$/.test(text.trim()) ? Number(text) : Number.NaN;
  if (value >= min && value <= max) return value;
  throw new UsageError(`${option}: expected a whole number from ${min} to ${max}, got "${text}"`);
}

/** Parse a fraction above 0 and below 1. Throws UsageError otherwise. */
export function parseFraction(option: string, text: string): number {
  const value = text.trim() === "" ? Number.NaN : Number(text);
  if (value > 0 && value < 1) return value;
  throw new UsageError(`${option}: expected a number between 0 and 1, like 0.02, got "${text}"`);
}

/** Collect the values of an option that may be given several times. */
export function collect(value: string, previous: readonly string[] = []): string[] {
  return [...previous, value];
}
