/**
 * One GGUF file's header: in comes a ByteSource, out comes what the header says, checked.
 * scan (structure) → values (@huggingface/gguf) → tensors (types and ranges). Whatever is wrong is a FormatError here, so
 * that later stages can trust the result.
 */
import type { Hash } from "node:crypto";
import { FormatError } from "../errors.ts";
import { paddedBytes } from "../ggml/file-bytes.ts";
import { scanHeader } from "./header-scan.ts";
import { readValues } from "./header-values.ts";
import type { KeyValueRange, MetadataValue } from "./model.ts";
import type { ByteSource } from "./source.ts";
import { checkTensors, type HeaderTensor } from "./tensor-checks.ts";
import { DEFAULT_ALIGNMENT } from "./value-types.ts";

export interface Header {
  readonly version: number;
  readonly metadata: ReadonlyMap<string, MetadataValue>;
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
  const metadata = await readValues(source, scan);
  const alignmentKey = scan.keyValues.find(({ key }) => key === "general.alignment");
  const alignment = metadata.get("general.alignment") ?? DEFAULT_ALIGNMENT;
  if (alignmentKey && (alignmentKey.type !== "u32" || alignmentKey.elements !== undefined)) {
    throw new FormatError(source.path, `gguf: general.alignment must be a u32; the file is damaged`, {
      offset: alignmentKey.start,
    });
  }
  if (typeof alignment !== "number" || alignment < 1 || !Number.isInteger(Math.log2(alignment))) {
    throw new FormatError(source.path, `gguf: general.alignment is ${alignment}, expected a power of two`, {
      offset: alignmentKey?.start ?? 0,
    });
  }
  const keyValues = scan.keyValues.map(({ key, valueType, start, end, nulTailBytes }) =>
    nulTailBytes === undefined ? { key, valueType, start, end } : { key, valueType, start, end, nulTailBytes },
  );
  const tensors = checkTensors(source, scan.tensors, alignment, paddedBytes(scan.end, alignment));
  return { version: scan.version, metadata, keyValues, alignment, tensors, bytes: scan.end };
}

/** Feed the first `bytes` bytes of a source to a hash. */
export async function hashHeader(source: ByteSource, bytes: number, hash: Hash): Promise<void> {
  for (let offset = 0; offset < bytes; offset += HASH_BYTES) {
    hash.update(await source.read(offset, Math.min(HASH_BYTES, bytes - offset)));
  }
}
