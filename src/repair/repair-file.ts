/** Writes a repaired model: raw keys and data of the old file, changed keys and a new list of tensors. Streams. */

import { type ByteSource, openFileSource } from "../bytes/source.ts";
import { FormatError } from "../errors.ts";
import type { RawKeyValue } from "../gguf/header-bytes.ts";
import type { KeyValueRange, ModelFile } from "../gguf/model.ts";
import { type NewKeyValue, type StreamedTensor, writeGgufAt } from "../gguf/writer.ts";
import { decodeRows } from "../kernels/decode.ts";
import type { RepairPlan } from "./repair.ts";
import type { KeyChange, RepairedTensor } from "./repair-draft.ts";

/** Bytes of a tensor held at a time. */
const PIECE_BYTES = 8 * 2 ** 20;

/** Write the repaired model at `path`, as it is named there. Throws FormatError, FileError. */
export async function writeRepaired(file: ModelFile, plan: RepairPlan, path: string): Promise<void> {
  const { model } = file;
  const first = model.shards[0]?.path ?? model.path;
  const source = await openFileSource(first);
  try {
    const keyValues = await keyValuesOf(source, model.keyValues, plan.keys);
    const tensors = plan.tensors.map((tensor): StreamedTensor => {
      const { name, shape, type } = tensor;
      return { name, shape, type, data: () => dataOf(file, tensor) };
    });
    await writeGgufAt(path, { version: model.ggufVersion, keyValues, tensors });
  } finally {
    await source.close();
  }
}

async function keyValuesOf(
  source: ByteSource,
  ranges: readonly KeyValueRange[],
  changes: ReadonlyMap<string, KeyChange>,
): Promise<(NewKeyValue | RawKeyValue)[]> {
  const kept: (NewKeyValue | RawKeyValue)[] = [];
  for (const { key, start, end } of ranges) {
    const change = changes.get(key);
    if (change?.kind === "drop") continue;
    if (change?.kind === "set") {
      kept.push(change.keyValue);
      continue;
    }
    const raw = await source.read(start, end - start);
    kept.push({ key, raw: change === undefined ? raw : cutArray(source.path, raw, change.elements) });
  }
  const known = new Set(ranges.map(({ key }) => key));
  const added = [...changes.values()].flatMap((change) =>
    change.kind === "set" && !known.has(change.keyValue.key) ? [change.keyValue] : [],
  );
  return [...kept, ...added];
}

/** An array entry with its first `elements` only: key length 8, key, type 4, element type 4, count 8, elements of one size. */
function cutArray(path: string, raw: Uint8Array, elements: number): Uint8Array {
  const view = new DataView(raw.buffer, raw.byteOffset, raw.byteLength);
  const count = 8 + Number(view.getBigUint64(0, true)) + 4 + 4;
  const before = Number(view.getBigUint64(count, true));
  const bytes = (raw.length - count - 8) / before;
  if (!Number.isInteger(bytes) || elements > before) throw new FormatError(path, "gguf: a per-layer array is damaged");
  const cut = raw.slice(0, count + 8 + elements * bytes);
  new DataView(cut.buffer).setBigUint64(count, BigInt(elements), true);
  return cut;
}

async function* dataOf(file: ModelFile, { from, rows, type }: RepairedTensor): AsyncGenerator<Uint8Array> {
  if (rows === undefined) {
    for (let start = 0; start < from.bytes; start += PIECE_BYTES) {
      yield await file.read(from, start, Math.min(PIECE_BYTES, from.bytes - start));
    }
    return;
  }
  const rowBytes = from.bytes / (from.elements / (from.shape[0] ?? 1));
  for (const row of rows) {
    const data = await file.read(from, row * rowBytes, rowBytes);
    yield from.type === "BF16" && type === "F32" ? new Uint8Array(decodeRows("BF16", data).buffer) : data;
  }
}
