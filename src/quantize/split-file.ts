/**
 * A quantized file in parts. llama-quantize writes a whole one; it is verified as that, and then its parts are written, each
 * aside and renamed, so that at no time anything is under a part's name that isn't whole.
 */
import { rm, stat } from "node:fs/promises";
import { parseSize } from "../allocate/budget.ts";
import { fileExists, writeTogether } from "../disk/aside-file.ts";
import { PrismError, UsageError } from "../errors.ts";
import { paddedBytes } from "../ggml/file-bytes.ts";
import { tensorBytes } from "../ggml/tensor-types.ts";
import type { OpenModel } from "../gguf/model.ts";
import { openModel } from "../gguf/open.ts";
import { infoBytes, keyBytesOf, partPaths, partsOf, type Split, type SplitTensor, writeParts } from "../gguf/split.ts";
import { protectInputs } from "../intake/protect-inputs.ts";
import type { QuantizeSpec } from "./quantize.ts";

/** What is asked of a split by its options. */
export interface SplitRequest {
  /** No file larger than so many bytes. */
  readonly splitMaxBytes?: number | undefined;
  /** In as many files as the source, each with the tensors of the source's. */
  readonly keepSplit?: boolean | undefined;
}

/** Bytes of `--split-max-size`: a size, or `50G` and `800M` as llama-gguf-split takes them. Throws UsageError. */
export function parseSplitSize(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  try {
    return parseSize(text.replace(/^\s*(\d+)([MG])\s*$/, "$1$2B"));
  } catch (error) {
    throw error instanceof UsageError ? new UsageError(`--split-max-size: ${error.message}`) : error;
  }
}

/** How the file of a source is split; undefined: not. Throws UsageError for both ways at once. */
export function splitOf(
  { splitMaxBytes, keepSplit = false }: SplitRequest,
  { model }: Pick<OpenModel, "model">,
): Split | undefined {
  if (splitMaxBytes !== undefined && keepSplit) {
    throw new UsageError("--split-max-size and --keep-split are two ways to split a file; give one");
  }
  if (splitMaxBytes !== undefined) return { maxBytes: splitMaxBytes };
  return keepSplit && model.shards.length > 1 ? { like: model } : undefined;
}

/**
 * The names that the parts will have, before anything is made: llama.cpp's loader has its tensors in an order of its own.
 * Throws UsageError where one tensor alone is too large.
 */
export function plannedParts(
  { model }: Pick<OpenModel, "model">,
  { expectedTypes, expectedBytes, output, split }: QuantizeSpec,
): string[] {
  if (split === undefined) return [output];
  const tensors = model.tensors
    .map(({ name, shape, type }): SplitTensor => {
      return { name, shape, bytes: tensorBytes(expectedTypes.get(name) ?? type, shape) };
    })
    .sort(asLoaded);
  const others = tensors.reduce((bytes, tensor) => bytes + paddedBytes(tensor.bytes) + infoBytes(tensor), 0);
  return partPaths(output, partsOf(tensors, Math.max(0, expectedBytes - others), split).length);
}

/** `weight_name_comparer` of src/llama-model-loader.h (llama.cpp v0.5.0). */
export function asLoaded({ name: one }: SplitTensor, { name: other }: SplitTensor): number {
  const layer = (name: string) => Number(/^blk\.\s*([+-]?\d+)/.exec(name)?.[1] ?? -1);
  return layer(one) - layer(other) || (one < other ? -1 : Number(one > other));
}

/** Throws UsageError where a part would be written over an input, or over what stands there without `force`. */
export async function checkParts(
  paths: readonly string[],
  inputs: readonly (string | undefined)[],
  force: boolean,
): Promise<void> {
  await protectInputs(paths, inputs);
  if (force) return;
  for (const path of paths) {
    if (!(await fileExists(path))) continue;
    throw new UsageError(`${path} exists already; give --force to replace it, or another name with -o`);
  }
}

/** Files that stand in the place of a whole one. */
export interface PlacedParts {
  readonly paths: readonly string[];
  /** Of all of them. */
  readonly fileBytes: number;
}

/**
 * Write the parts of `whole` under the names of parts of `output`; undefined where it would be one, which is not written.
 * `check` sees the names first. Throws PrismError (`verification`) where they are not what the whole file is.
 */
export async function splitFile(
  whole: string,
  output: string,
  split: Split,
  check: (paths: readonly string[]) => Promise<void>,
): Promise<PlacedParts | undefined> {
  const file = await openModel(whole);
  try {
    const { tensors, keyValues } = file.model;
    const parts = partsOf(tensors, keyBytesOf(keyValues), split);
    if (parts.length <= 1) return undefined;
    const paths = partPaths(output, parts.length);
    await check(paths);
    await writeTogether(paths, (asides) => writeParts(file, parts, split, asides));
    await requireSame(paths, file);
    let fileBytes = 0;
    for (const path of paths) fileBytes += (await stat(path)).size;
    return { paths, fileBytes };
  } finally {
    await file.close();
  }
}

/** Remove the parts of a file. */
export async function removeParts(paths: readonly string[]): Promise<void> {
  for (const path of paths) await rm(path, { force: true });
}

async function requireSame(paths: readonly string[], whole: OpenModel): Promise<void> {
  const split = await openModel(paths[0] as string);
  try {
    const known = new Map(split.model.tensors.map((tensor) => [tensor.name, tensor]));
    const other = whole.model.tensors.find(({ name, type, bytes }) => {
      const found = known.get(name);
      return found?.type !== type || found.bytes !== bytes;
    });
    if (other === undefined && known.size === whole.model.tensors.length) return;
    await removeParts(paths);
    throw new PrismError(
      "verification",
      1,
      `${paths[0]}: the parts are not the file that was split (${other?.name ?? "tensors that it has not"}). They were not kept; please report this with the plan`,
    );
  } finally {
    await split.close();
  }
}
