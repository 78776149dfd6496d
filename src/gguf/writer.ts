/**
 * Writes a GGUF file: header, then every tensor's data at its padded offset. One tensor is in memory at a time, and a
 * tensor without data is a hole, so a shape-exact file of hundreds of GB costs only its header on a sparse file system.
 */
import { type FileHandle, open, rename, rm } from "node:fs/promises";
import { FileError, UsageError } from "../errors.ts";
import { paddedBytes } from "../ggml/file-bytes.ts";
import { type TensorType, tensorBytes } from "../ggml/tensor-types.ts";
import { encodeHeader, type NewKeyValue } from "./header-bytes.ts";
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

/**
 * Write a GGUF file at `path`, replacing it only once the new one is complete.
 * Throws UsageError where the data does not have the bytes its shape and type need, FileError where writing fails.
 */
export async function writeGguf(path: string, file: NewGguf): Promise<void> {
  const { keyValues, alignment } = withAlignment(file);
  let offset = 0;
  const infos = file.tensors.map((tensor) => {
    const info = { ...tensor, offset, bytes: tensorBytes(tensor.type, tensor.shape) };
    offset += paddedBytes(info.bytes, alignment);
    return info;
  });
  const header = encodeHeader(file.version ?? 3, keyValues, infos);
  const dataStart = paddedBytes(header.length, alignment);

  const partial = `${path}.partial`;
  let handle: FileHandle | undefined;
  try {
    handle = await open(partial, "w");
    await writeAt(handle, header, 0);
    for (const tensor of infos) {
      if (tensor.data === undefined) continue;
      const data = typeof tensor.data === "function" ? tensor.data() : tensor.data;
      if (data.length !== tensor.bytes) {
        throw new UsageError(
          `tensor ${tensor.name}: ${tensor.type} [${tensor.shape.join(", ")}] needs ${tensor.bytes} bytes of data, got ${data.length}`,
        );
      }
      await writeAt(handle, data, dataStart + tensor.offset);
    }
    await handle.truncate(dataStart + offset);
    await handle.close();
    handle = undefined;
    await rename(partial, path);
  } catch (error) {
    await handle?.close();
    await rm(partial, { force: true });
    if (error instanceof UsageError) throw error;
    throw new FileError(path, `could not be written: ${(error as Error).message}`, { cause: error });
  }
}

function withAlignment(file: NewGguf): { keyValues: readonly NewKeyValue[]; alignment: number } {
  const key = "general.alignment";
  const existing = file.keyValues.find((keyValue) => keyValue.key === key);
  if (file.alignment === undefined) {
    return { keyValues: file.keyValues, alignment: existing ? Number(existing.value) : DEFAULT_ALIGNMENT };
  }
  if (existing) return { keyValues: file.keyValues, alignment: file.alignment };
  return {
    keyValues: [...file.keyValues, { key, type: "u32", value: file.alignment }],
    alignment: file.alignment,
  };
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
