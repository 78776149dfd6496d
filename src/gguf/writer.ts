/**
 * Writes a GGUF file: header, then every tensor's data at its padded offset. One tensor (or piece) is in memory at a time, and a
 * tensor without data is a hole, so a shape-exact file of hundreds of GB costs only its header on a sparse file system.
 */
import { type FileHandle, open } from "node:fs/promises";
import { writeAside } from "../disk/aside-file.ts";
import { UsageError } from "../errors.ts";
import { paddedBytes } from "../ggml/file-bytes.ts";
import { type TensorType, tensorBytes } from "../ggml/tensor-types.ts";
import { encodeHeader, type NewKeyValue, type RawKeyValue } from "./header-bytes.ts";
import { DEFAULT_ALIGNMENT } from "./value-types.ts";

export type { NewKeyValue } from "./header-bytes.ts";
export type { KeyValueType } from "./value-types.ts";

export interface NewTensor {
  readonly name: string;
  /** ne, innermost dimension first; written as given. */
  readonly shape: readonly number[];
  readonly type: TensorType;
  /** The data, or a function that yields it when its turn comes; absent: a hole in a sparse file. */
  readonly data?: Uint8Array | (() => Uint8Array);
}

export interface NewGguf {
  readonly keyValues: readonly NewKeyValue[];
  readonly tensors: readonly NewTensor[];
  /** Default: the general.alignment key, or 32. Given without that key, the key is added. */
  readonly alignment?: number;
  /** Default 3. */
  readonly version?: number;
}

/** A tensor whose data may come in pieces. */
export interface StreamedTensor extends Omit<NewTensor, "data"> {
  readonly data?: Uint8Array | (() => Uint8Array | AsyncIterable<Uint8Array>);
}

/** A file made of another one: entries may be copied as they are, and data come in pieces. */
export interface StreamedGguf extends Omit<NewGguf, "keyValues" | "tensors"> {
  readonly keyValues: readonly (NewKeyValue | RawKeyValue)[];
  readonly tensors: readonly StreamedTensor[];
}

/**
 * Write a GGUF file at `path`, replacing it only once the new one is complete.
 * Throws UsageError where the data does not have the bytes its shape and type need, FileError where writing fails.
 */
export async function writeGguf(path: string, file: NewGguf): Promise<void> {
  await writeAside(path, (aside) => writeGgufAt(aside, file));
}

/** Write a GGUF file under a name that the caller will change or remove. Throws as writeGguf, or what the system throws. */
export async function writeGgufAt(path: string, file: StreamedGguf): Promise<void> {
  const { keyValues, alignment } = withAlignment(file);
  let offset = 0;
  const infos = file.tensors.map((tensor) => {
    const info = { ...tensor, offset, bytes: tensorBytes(tensor.type, tensor.shape) };
    offset += paddedBytes(info.bytes, alignment);
    return info;
  });
  const header = encodeHeader(file.version ?? 3, keyValues, infos);
  const dataStart = paddedBytes(header.length, alignment);
  const handle = await open(path, "w");
  try {
    await writeAt(handle, header, 0);
    for (const { data, name, type, shape, bytes, offset: start } of infos) {
      if (data === undefined) continue;
      const written = await writePieces(handle, typeof data === "function" ? data() : data, dataStart + start);
      if (written !== bytes) {
        throw new UsageError(
          `tensor ${name}: ${type} [${shape.join(", ")}] needs ${bytes} bytes of data, got ${written}`,
        );
      }
    }
    await handle.truncate(dataStart + offset);
  } finally {
    await handle.close();
  }
}

function withAlignment(file: StreamedGguf): { keyValues: StreamedGguf["keyValues"]; alignment: number } {
  const key = "general.alignment";
  const existing = file.keyValues.find((keyValue) => keyValue.key === key);
  if (file.alignment === undefined) {
    return {
      keyValues: file.keyValues,
      alignment: existing && "value" in existing ? Number(existing.value) : DEFAULT_ALIGNMENT,
    };
  }
  if (existing) return { keyValues: file.keyValues, alignment: file.alignment };
  return {
    keyValues: [...file.keyValues, { key, type: "u32", value: file.alignment }],
    alignment: file.alignment,
  };
}

/** Bytes written from `position` on. */
async function writePieces(
  handle: FileHandle,
  data: Uint8Array | AsyncIterable<Uint8Array>,
  position: number,
): Promise<number> {
  if (data instanceof Uint8Array) {
    await writeAt(handle, data, position);
    return data.length;
  }
  let written = 0;
  for await (const piece of data) {
    await writeAt(handle, piece, position + written);
    written += piece.length;
  }
  return written;
}

async function writeAt(handle: FileHandle, data: Uint8Array, position: number): Promise<void> {
  let done = 0;
  while (done < data.length) {
    // One write call moves at most 2 GiB on Linux; pieces also keep memory of the runtime flat.
    const piece = Math.min(data.length - done, 1 << 28);
    const { bytesWritten } = await handle.write(data, done, piece, position + done);
    done += bytesWritten;
  }
}
