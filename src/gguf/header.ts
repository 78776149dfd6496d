/**
 * One GGUF file's header: in comes a ByteSource, out comes what the header says, checked.
 * scan (structure) → values (@huggingface/gguf) → tensors (types and ranges). Whatever is wrong is a FormatError here, so
 * that later stages can trust the result.
 */
import type { Hash } from "node:crypto";
import type { ByteSource } from "../bytes/source.ts";
import { FormatError } from "../errors.ts";
import { paddedBytes } from "../ggml/file-bytes.ts";
import { present } from "../present.ts";
import { type ScannedHeader, type ScannedKeyValue, scanHeader } from "./header-scan.ts";
import { readValues } from "./header-values.ts";
import type { KeyType, KeyValueRange, MetadataValue } from "./model.ts";
import { checkTensors, type HeaderTensor } from "./tensor-checks.ts";
import { DEFAULT_ALIGNMENT } from "./value-types.ts";

export interface Header {
  readonly version: number;
  readonly metadata: ReadonlyMap<string, MetadataValue>;
  readonly keyTypes: ReadonlyMap<string, KeyType>;
  readonly keyValues: readonly KeyValueRange[];
  readonly alignment: number;
  readonly tensors: readonly HeaderTensor[];
  /** Bytes of magic, counts, key-values and tensor list, without the padding before the data. */
  readonly bytes: number;
}

/** Bytes hashed at a time. */
const HASH_BYTES = 1 << 20;

/** Read and check the header of a GGUF file. Reads nothing of the tensors' data. Throws FormatError. */
export async function readHeader(source: ByteSource): Promise<Header> {
  const scan = await scanHeader(source);
  const alignment = await readAlignment(source, scan);
  const metadata = await readValues(source, scan);
  const keyValues = scan.keyValues.map(({ key, valueType, start, end, nulTailBytes, tokenFaults }) => ({
    key,
    valueType,
    start,
    end,
    ...present({ nulTailBytes, tokenFaults }),
  }));
  const keyTypes = new Map(scan.keyValues.map((keyValue) => [keyValue.key, keyTypeOf(keyValue)]));
  const tensors = checkTensors(source, scan.tensors, alignment, paddedBytes(scan.end, alignment));
  return { version: scan.version, metadata, keyTypes, keyValues, alignment, tensors, bytes: scan.end };
}

function keyTypeOf({ type, elements }: ScannedKeyValue): KeyType {
  return elements === undefined ? { type } : { type: "array", element: type, length: elements };
}

async function readAlignment(source: ByteSource, scan: ScannedHeader): Promise<number> {
  const entry = scan.keyValues.find(({ key }) => key === "general.alignment");
  if (entry === undefined) return DEFAULT_ALIGNMENT;
  const fail = (message: string) =>
    new FormatError(source.path, `gguf: general.alignment ${message}; the file is damaged`, { offset: entry.start });
  if (entry.type !== "u32" || entry.elements !== undefined) throw fail("must be a u32");
  const bytes = await source.read(entry.valueStart, 4);
  const alignment = new DataView(bytes.buffer, bytes.byteOffset).getUint32(0, true);
  if (!Number.isInteger(Math.log2(alignment))) throw fail(`is ${alignment}, expected a power of two`);
  return alignment;
}

/** Feed the first `bytes` bytes of a source to a hash. */
export async function hashHeader(source: ByteSource, bytes: number, hash: Hash): Promise<void> {
  for (let offset = 0; offset < bytes; offset += HASH_BYTES) {
    hash.update(await source.read(offset, Math.min(HASH_BYTES, bytes - offset)));
  }
}
