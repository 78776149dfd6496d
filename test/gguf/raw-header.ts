/** Builds GGUF bytes by hand, wrong ones included, and reads them from a temporary folder. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll } from "vitest";

export type Bytes = readonly number[];

export const u32 = (n: number): Bytes => [...new Uint8Array(new Uint32Array([n]).buffer)];
export const u64 = (n: number | bigint): Bytes => [...new Uint8Array(new BigUint64Array([BigInt(n)]).buffer)];
export const text = (value: string): Bytes => {
  const bytes = [...new TextEncoder().encode(value)];
  return [...u64(bytes.length), ...bytes];
};
export const stringEntry = (key: string, value: string): Bytes => [...text(key), ...u32(8), ...text(value)];
export const u32Entry = (key: string, value: number): Bytes => [...text(key), ...u32(4), ...u32(value)];

export interface RawTensor {
  readonly name?: Bytes;
  readonly dims?: readonly (number | bigint)[];
  readonly type?: number;
  readonly offset?: number | bigint;
}

/** The entry of a tensor list: F32 [8] at 0 unless told otherwise. */
export function tensorEntry({ name = text("t"), dims = [8], type = 0, offset = 0 }: RawTensor = {}): Bytes {
  return [...name, ...u32(dims.length), ...dims.flatMap(u64), ...u32(type), ...u64(offset)];
}

export interface RawFile {
  readonly magic?: Bytes;
  readonly version?: number;
  readonly tensorCount?: number | bigint;
  readonly keyValueCount?: number | bigint;
  readonly keyValues?: readonly Bytes[];
  readonly tensors?: readonly Bytes[];
  /** Bytes of data after the padded header. */
  readonly dataBytes?: number;
}

export function rawFile(file: RawFile = {}): Uint8Array {
  const { keyValues = [], tensors = [], dataBytes = 64 } = file;
  const header = [
    ...(file.magic ?? [0x47, 0x47, 0x55, 0x46]),
    ...u32(file.version ?? 3),
    ...u64(file.tensorCount ?? tensors.length),
    ...u64(file.keyValueCount ?? keyValues.length),
    ...keyValues.flat(),
    ...tensors.flat(),
  ];
  const bytes = new Uint8Array(Math.ceil(header.length / 32) * 32 + dataBytes);
  bytes.set(header);
  return bytes;
}

/** A temporary folder for a test file, removed after it. */
export function temporaryFolder(): (name: string, bytes?: Uint8Array) => string {
  const folder = mkdtempSync(join(tmpdir(), "prism-gguf-"));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  return (name, bytes) => {
    const path = join(folder, name);
    if (bytes) writeFileSync(path, bytes);
    return path;
  };
}
