/**
 * Where the work of error feedback is kept in the cache: the sums of a range's inputs, which outlast the command, and the
 * codes that were chosen by them, until the file they are for is whole. The engine writes and reads them itself.
 */
import { rm, stat } from "node:fs/promises";
import { join } from "node:path";
import type { Bench } from "../bench.ts";
import { makeFolder, removeAbandoned } from "../disk/aside-file.ts";
import { makeRoom } from "../disk/cache-budget.ts";
import { cacheKey } from "../disk/cache-key.ts";
import { touchUsed } from "../disk/sealed-file.ts";
import type { CodesFolder, EvaluationTokens, LoadedModel } from "../engine/engine.ts";
import { hashIds } from "../evaluate/text.ts";
import { identityOf, requireUnchanged } from "../gguf/identity.ts";
import type { OpenModel } from "../gguf/model.ts";
import { momentsBytes, type WeightInputs } from "./layer-ranges.ts";

/** Count changes of how inputs are summed, and of how codes are chosen: older entries are not used. */
const INPUTS_METHOD = 1;
const CODES_METHOD = 1;

/** Parts of the limit of logits that all sums may take, and codes on their way. */
const SHARE = 0.5;

/** Files at once while sums are written: those of the kinds before, and those of one kind more. */
const FILES = 2;

export interface InputsRange {
  readonly kinds: readonly EvaluationTokens[];
  readonly weights: readonly WeightInputs[];
}

/** What the sums of a range depend on, as a name. */
export async function inputsKey(source: OpenModel, { kinds, weights }: InputsRange, bench: Bench): Promise<string> {
  const { engine, gpuLayers } = bench;
  const { version, devices, kernels } = engine.info;
  const how = [version, devices.join(), gpuLayers, kernels ?? ""];
  const text = kinds.map(({ context, chunks, ids }) => `${context} ${chunks} ${hashIds(ids)}`);
  return cacheKey(["inputs", INPUTS_METHOD, await identityOf(source, bench), ...how, ...text, ...namesOf(weights)]);
}

/** Sum the inputs of a range, or take the sums from the cache. Returns the weights whose inputs were seen. */
export async function collectRange(
  loaded: LoadedModel,
  source: OpenModel,
  range: InputsRange,
  what: string,
  bench: Bench,
): Promise<readonly string[]> {
  const { signal, progress } = bench;
  const kept = await inputsFile(source, range, bench);
  try {
    const seen = await loaded.collectInputs({
      texts: range.kinds,
      weights: namesOf(range.weights),
      kept,
      signal,
      onNote: progress.note,
      onProgress: (done, total) => progress.steps(what, done, total),
    });
    await requireUnchanged(source, bench);
    return seen;
  } catch (error) {
    if (kept !== undefined) await dropUnsure(kept, source);
    throw error;
  }
}

/** The folder of codes that are chosen by these inputs; undefined where nothing is kept. */
export async function codesFolder(
  source: OpenModel,
  range: InputsRange,
  bench: Bench,
): Promise<CodesFolder | undefined> {
  const { dir, logitsLimitBytes } = bench.cache;
  if (dir === undefined) return undefined;
  const key = cacheKey(["codes", CODES_METHOD, await inputsKey(source, range, bench)]);
  return { path: join(dir, "codes", key), limitBytes: SHARE * logitsLimitBytes };
}

/** The file is whole: what was kept for it leaves. */
export async function dropCodes(folders: Iterable<CodesFolder>): Promise<void> {
  for (const { path } of folders) await rm(path, { recursive: true, force: true }).catch(() => undefined);
}

/** Undefined where nothing is kept, or, said, there is no room. */
async function inputsFile(source: OpenModel, range: InputsRange, bench: Bench): Promise<string | undefined> {
  const { cache, progress } = bench;
  if (cache.dir === undefined) return undefined;
  const dir = join(cache.dir, "inputs");
  const path = join(dir, await inputsKey(source, range, bench));
  try {
    await makeFolder(dir);
    const stands = await stat(path).catch(() => undefined);
    // what is gone on with must not make way for itself
    if (stands !== undefined) await touchUsed(path);
    const bytes = FILES * momentsBytes(range.weights);
    if (stands !== undefined || (await makeRoom(dir, bytes, SHARE * cache.logitsLimitBytes))) return path;
    progress.note(
      `the sums of inputs are not kept: they need ${(bytes / 1e9).toFixed(1)} GB, of half the cache limit and of the free disk`,
    );
  } catch (error) {
    progress.note(`! the sums of inputs are not kept: ${(error as Error).message}`);
  }
  return undefined;
}

/** Remove what an ended process left half written, and sums of a model that is no longer what it was. */
async function dropUnsure(path: string, source: OpenModel): Promise<void> {
  await removeAbandoned(path).catch(() => undefined);
  if ((await source.change()) !== undefined) await rm(path, { force: true }).catch(() => undefined);
}

function namesOf(weights: readonly WeightInputs[]): string[] {
  return [...new Set(weights.map(({ name }) => name))];
}
