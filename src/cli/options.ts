/**
 * The options that mean the same on every command. A command declares those that do something there.
 * Values are checked when they are parsed; messages name the option.
 */
import { availableParallelism } from "node:os";
import { Option } from "commander";
import { UsageError } from "../errors.ts";

/** What sampling starts from unless --seed says otherwise. */
export const DEFAULT_SEED = 0;

/** A seed is an unsigned integer of 32 bits. */
const MAX_SEED = 2 ** 32 - 1;

/** What a command takes that only reads parts of a model. */
export const MODEL_ARGUMENT =
  "a GGUF file or the first of its shards: a path, https://..., or hf:owner/repo/file.gguf[@rev]";

export const jsonOption = () => new Option("--json", "print exactly one JSON document on stdout");

export const quietOption = () => new Option("--quiet", "no progress and no notes on stderr, only errors");

export const threadsOption = () =>
  new Option("--threads <n>", "threads to compute with")
    .argParser((text) => parseInteger("--threads", text, 1, 1024))
    .default(availableParallelism(), `${availableParallelism()}, the processors here`);

export const backendOption = () =>
  new Option("--backend <name>", "what computes the metrics: auto, native or reference").default("auto");

export const llamaDirOption = () =>
  new Option("--llama-dir <dir>", "use the programs of this llama.cpp build instead of the embedded library");

export const seedOption = () =>
  new Option("--seed <n>", "seed of everything random")
    .argParser((text) => parseInteger("--seed", text, 0, MAX_SEED))
    .default(DEFAULT_SEED);

export const forceOption = () => new Option("--force", "replace output files that exist");

export const remoteCacheOption = () =>
  new Option("--no-cache", "keep nothing of a remote model on disk, and use nothing kept before");

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
