/**
 * The .dat form of an imatrix, which has no magic: i32 entries; per entry i32 length, name, i32 calls, i32 values,
 * f32[values] = mean · calls; then, if the file goes on, i32 chunks, i32 length, dataset.
 */
import { FormatError } from "../errors.ts";
import type { ImatrixContent } from "./imatrix.ts";

/** Parse a whole .dat file; every length is checked against the bytes that are left. */
export function readLegacyImatrix(bytes: Uint8Array, path: string): ImatrixContent {
  const cursor = new LegacyCursor(bytes, path);
  const entries = cursor.int32("the number of entries");
  if (entries < 1) {
    throw new FormatError(
      path,
      `imatrix: neither GGUF nor a .dat file: it begins with ${entries} entries; give a file of llama-imatrix`,
    );
  }
  const importance = new Map<string, Float32Array>();
  for (let entry = 1; entry <= entries; entry++) {
    const name = cursor.text(`the name of entry ${entry} of ${entries}`);
    const calls = cursor.int32(`the calls of ${name}`);
    const values = cursor.floats(`the values of ${name}`);
    if (calls > 0) {
      const divisor = Math.fround(calls);
      for (let index = 0; index < values.length; index++) values[index] = (values[index] as number) / divisor;
    }
    importance.set(name, values);
  }
  // the form has one count for a tensor: which experts saw no token is not in it
  const unseen = new Map<string, number>();
  if (cursor.atEnd) return { importance, unseen, chunks: 0, dataset: new Uint8Array() };
  const chunks = Math.max(0, cursor.int32("the number of chunks"));
  if (cursor.atEnd) return { importance, unseen, chunks, dataset: new Uint8Array() };
  return { importance, unseen, chunks, dataset: cursor.cString("the dataset") };
}

class LegacyCursor {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #path: string;
  #offset = 0;

  constructor(bytes: Uint8Array, path: string) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#path = path;
  }

  get atEnd(): boolean {
    return this.#offset === this.#bytes.length;
  }

  int32(what: string): number {
    return this.#view.getInt32(this.#advance(4, what), true);
  }

  text(what: string): string {
    return new TextDecoder().decode(this.cString(what));
  }

  /** The bytes of a C string: what follows a zero byte is not part of it. */
  cString(what: string): Uint8Array {
    const length = this.int32(`the length of ${what}`);
    const start = this.#advance(length, what);
    const bytes = this.#bytes.subarray(start, start + length);
    const zero = bytes.indexOf(0);
    return zero < 0 ? bytes : bytes.subarray(0, zero);
  }

  floats(what: string): Float32Array {
    const count = this.int32(`the number of ${what}`);
    const start = this.#advance(4 * Math.max(count, 1), what);
    if (count < 1)
      throw new FormatError(this.#path, `imatrix: ${what}: expected at least 1, got ${count}`, { offset: start });
    return Float32Array.from({ length: count }, (_, index) => this.#view.getFloat32(start + 4 * index, true));
  }

  #advance(count: number, what: string): number {
    const start = this.#offset;
    const left = this.#bytes.length - start;
    if (count < 0 || count > left) {
      throw new FormatError(
        this.#path,
        `imatrix: ${what} takes ${count} bytes at ${start}, but ${left} are left; the file is cut short or no imatrix`,
        { offset: start },
      );
    }
    this.#offset = start + count;
    return start;
  }
}
