/**
 * A whole GGUF file in parts. The first has all keys, and each says which it is: as `llama-gguf-split` writes them (tools/gguf-split,
 * llama.cpp v0.5.0), or in the parts of the source as `llama-quantize --keep-split` does, to the byte.
 */
import { openFileSource } from "../bytes/source.ts";
import { UsageError } from "../errors.ts";
import { dimensionCount } from "../ggml/convertible.ts";
import { paddedBytes } from "../ggml/file-bytes.ts";
import { formatBytes } from "../numbers.ts";
import type { RawKeyValue } from "./header-bytes.ts";
import type { KeyValueRange, Model, OpenModel, TensorInfo } from "./model.ts";
import { REMOVED_KEYS } from "./output-header.ts";
import { parseShardName, shardPath } from "./shards.ts";
import { type NewKeyValue, type StreamedTensor, writeGgufAt } from "./writer.ts";

/** How a file is split: into files no larger than this, or each tensor into the part that the source has it in. */
export type Split = { readonly maxBytes: number } | { readonly like: Pick<Model, "tensors" | "shards"> };

/** split.count is a u16. */
const MOST_PARTS = 65_535;
/** Bytes of a tensor held at a time. */
const PIECE_BYTES = 8 * 2 ** 20;
/** magic, version, counts. */
const FIXED_BYTES = 4 + 4 + 8 + 8;
/** Three keys with their lengths, types and values. */
const SPLIT_KEY_BYTES = 3 * (8 + 4) + "split.nosplit.countsplit.tensors.count".length + 2 + 2 + 4;

/** A tensor as far as splitting goes by it. */
export type SplitTensor = Pick<TensorInfo, "name" | "shape" | "bytes">;

/**
 * The tensors of each part, in order. `keyBytes`: of the keys, which the first part has. Throws UsageError where one tensor
 * alone is too large.
 */
export function partsOf<Tensor extends SplitTensor>(
  tensors: readonly Tensor[],
  keyBytes: number,
  split: Split,
): Tensor[][] {
  if ("like" in split) return partsLike(tensors, split.like);
  const parts = partsBySize(tensors, keyBytes, split.maxBytes);
  if (parts.length <= MOST_PARTS) return parts;
  throw new UsageError(
    `--split-max-size: ${parts.length} parts, and a GGUF has at most ${MOST_PARTS}; give a larger size`,
  );
}

function partsBySize<Tensor extends SplitTensor>(
  tensors: readonly Tensor[],
  keyBytes: number,
  maxBytes: number,
): Tensor[][] {
  const parts: Tensor[][] = [[]];
  let headerBytes = FIXED_BYTES + SPLIT_KEY_BYTES + keyBytes;
  let dataBytes = 0;
  for (const tensor of tensors) {
    const ownData = paddedBytes(tensor.bytes);
    const ownHeader = infoBytes(tensor);
    const fits = () => paddedBytes(headerBytes + ownHeader) + dataBytes + ownData <= maxBytes;
    if (!fits() && dataBytes > 0) {
      parts.push([]);
      headerBytes = FIXED_BYTES + SPLIT_KEY_BYTES;
      dataBytes = 0;
    }
    if (!fits()) {
      const needed = paddedBytes(headerBytes + ownHeader) + ownData;
      throw new UsageError(
        `--split-max-size ${formatBytes(maxBytes)}: a file with the tensor ${tensor.name} alone takes ${formatBytes(needed)}; give at least that`,
      );
    }
    parts.at(-1)?.push(tensor);
    headerBytes += ownHeader;
    dataBytes += ownData;
  }
  return parts;
}

/** Bytes of a tensor's entry in the header. */
export function infoBytes({ name, shape }: SplitTensor): number {
  return 8 + new TextEncoder().encode(name).length + 4 + 8 * dimensionCount(shape) + 4 + 8;
}

/** In the order of the source's files. */
function partsLike<Tensor extends SplitTensor>(
  tensors: readonly Tensor[],
  { tensors: theirs, shards }: Pick<Model, "tensors" | "shards">,
): Tensor[][] {
  const byName = new Map(tensors.map((tensor) => [tensor.name, tensor]));
  const parts = shards.map((_, shard) => {
    const inShard = theirs.filter((tensor) => tensor.shard === shard).sort((a, b) => a.offset - b.offset);
    return inShard.flatMap(({ name }) => byName.get(name) ?? []);
  });
  return parts;
}

/** Bytes of the keys that the first part has. */
export function keyBytesOf(keyValues: readonly KeyValueRange[]): number {
  return keptKeys(keyValues).reduce((bytes, { start, end }) => bytes + end - start, 0);
}

function keptKeys(keyValues: readonly KeyValueRange[]): KeyValueRange[] {
  return keyValues.filter(({ key }) => !REMOVED_KEYS.includes(key));
}

/** Names of the parts of what would be called `path`; itself where it is one file. */
export function partPaths(path: string, count: number): string[] {
  if (count <= 1) return [path];
  const prefix = parseShardName(path)?.prefix ?? path.replace(/\.gguf$/i, "");
  return Array.from({ length: count }, (_, index) => shardPath(prefix, index + 1, count));
}

/** Write the parts of a file under these names, which the caller will change or remove. */
export async function writeParts(
  file: OpenModel,
  parts: readonly (readonly TensorInfo[])[],
  split: Split,
  paths: readonly string[],
): Promise<void> {
  const { model } = file;
  const keys = await rawKeys(model);
  for (const [number, part] of parts.entries()) {
    const own = splitKeys(number, parts.length, model.tensors.length, split);
    const tensors = part.map((tensor): StreamedTensor => {
      const { name, shape, type } = tensor;
      return { name, shape, type, data: () => dataOf(file, tensor) };
    });
    const keyValues = [...(number === 0 ? keys : []), ...own];
    await writeGgufAt(paths[number] as string, { version: model.ggufVersion, keyValues, tensors });
  }
}

async function rawKeys({ path, shards, keyValues }: Model): Promise<RawKeyValue[]> {
  const source = await openFileSource(shards[0]?.path ?? path);
  try {
    const raw: RawKeyValue[] = [];
    for (const { key, start, end } of keptKeys(keyValues))
      raw.push({ key, raw: await source.read(start, end - start) });
    return raw;
  } finally {
    await source.close();
  }
}

/** In the order in which each program sets them: llama-gguf-split knows the count last. */
function splitKeys(number: number, count: number, tensors: number, split: Split): NewKeyValue[] {
  const no: NewKeyValue = { key: "split.no", type: "u16", value: number };
  const counted: NewKeyValue = { key: "split.count", type: "u16", value: count };
  const total: NewKeyValue = { key: "split.tensors.count", type: "i32", value: tensors };
  return "like" in split ? [no, counted, total] : [no, total, counted];
}

async function* dataOf(file: OpenModel, tensor: TensorInfo): AsyncGenerator<Uint8Array> {
  for (let start = 0; start < tensor.bytes; start += PIECE_BYTES) {
    yield await file.read(tensor, start, Math.min(PIECE_BYTES, tensor.bytes - start));
  }
}
