/**
 * The keys that llama-quantize writes, in its order: those of the source without split.*, then what it sets, each at the
 * end. Follows `llama_model_quantize_impl` (src/llama-quant.cpp) and `gguf_set_kv` (ggml/src/gguf.cpp, llama.cpp v0.5.0).
 */
import type { ByteSource } from "../bytes/source.ts";
import type { FileType } from "../ggml/file-types.ts";
import { FILE_TYPES } from "../ggml/file-types.ts";
import type { NewKeyValue, RawKeyValue } from "./header-bytes.ts";
import type { Model } from "./model.ts";
import { type ImatrixKeys, REMOVED_KEYS } from "./output-header.ts";
import { overrideBytes } from "./raw-text.ts";
import { ARRAY_TYPE_ID, VALUE_TYPES } from "./value-types.ts";

/** GGML_QNT_VERSION. */
const QUANTIZATION_VERSION = 2;

export interface QuantizedKeys {
  readonly fileType: FileType;
  readonly imatrix?: ImatrixKeys | undefined;
  readonly notes?: ReadonlyMap<string, string> | undefined;
  /** general.alignment is set to this. */
  readonly alignment?: number | undefined;
}

/** The entries of the quantized file; `first`: the bytes of the source's first shard. */
export async function quantizedKeys(
  { keyValues }: Pick<Model, "keyValues">,
  first: Pick<ByteSource, "read">,
  keys: QuantizedKeys,
): Promise<(NewKeyValue | RawKeyValue)[]> {
  const set = setKeys(keys);
  const replaced = new Set([...REMOVED_KEYS, ...set.map(({ key }) => key)]);
  const kept: RawKeyValue[] = [];
  for (const { key, start, end, nulTailBytes } of keyValues) {
    if (replaced.has(key)) continue;
    const raw = await first.read(start, end - start);
    kept.push({ key, raw: nulTailBytes === undefined ? raw : withoutNulTails(raw) });
  }
  return [...kept, ...set];
}

function setKeys({ fileType, imatrix, notes = new Map(), alignment }: QuantizedKeys): (NewKeyValue | RawKeyValue)[] {
  const u32 = (key: string, value: number): NewKeyValue => ({ key, type: "u32", value });
  const set: (NewKeyValue | RawKeyValue)[] = [
    u32("general.quantization_version", QUANTIZATION_VERSION),
    u32("general.file_type", FILE_TYPES[fileType].id),
  ];
  if (imatrix !== undefined && imatrix.entries > 0) {
    const { file, dataset, entries, chunks } = imatrix;
    set.push(stringEntry("quantize.imatrix.file", file));
    if (dataset !== "") set.push(stringEntry("quantize.imatrix.dataset", dataset));
    set.push(u32("quantize.imatrix.entries_count", entries));
    if (chunks > 0) set.push(u32("quantize.imatrix.chunks_count", chunks));
  }
  for (const [key, text] of notes) set.push(stringEntry(key, text));
  if (alignment !== undefined) set.push(u32("general.alignment", alignment));
  return set;
}

/** Its bytes are the person's, which need not be UTF-8. */
function stringEntry(key: string, text: string): RawKeyValue {
  const name = new TextEncoder().encode(key);
  const value = overrideBytes(text);
  const type = new Uint8Array(4);
  new DataView(type.buffer).setUint32(0, VALUE_TYPES.string.id, true);
  return { key, raw: joined([length(name.length), name, type, length(value.length), value]) };
}

/** An entry whose strings end at their first NUL, as those of C do. */
function withoutNulTails(raw: Uint8Array): Uint8Array {
  const view = new DataView(raw.buffer, raw.byteOffset, raw.byteLength);
  const typeAt = 8 + Number(view.getBigUint64(0, true));
  const isArray = view.getUint32(typeAt, true) === ARRAY_TYPE_ID;
  // an array's type of elements and their number come before them
  let at = typeAt + 4 + (isArray ? 4 + 8 : 0);
  const parts: Uint8Array[] = [raw.subarray(0, at)];
  while (at < raw.length) {
    const end = at + 8 + Number(view.getBigUint64(at, true));
    const text = raw.subarray(at + 8, end);
    const nul = text.indexOf(0);
    const own = nul < 0 ? text : text.subarray(0, nul);
    parts.push(length(own.length), own);
    at = end;
  }
  return joined(parts);
}

function length(bytes: number): Uint8Array {
  const field = new Uint8Array(8);
  new DataView(field.buffer).setBigUint64(0, BigInt(bytes), true);
  return field;
}

function joined(parts: readonly Uint8Array[]): Uint8Array {
  return new Uint8Array(Buffer.concat(parts));
}
