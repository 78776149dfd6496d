/**
 * A bounds-checked, little-endian cursor over the start of a ByteSource. It holds one window of the file, so a header of
 * any length costs the same memory, and it refuses to pass the end of the file or of the largest credible header.
 */

import { type ByteSource, formatCount } from "../bytes/source.ts";
import { FormatError } from "../errors.ts";

/**
 * Bytes; more than that before the tensor data is not a header. The largest known ones (256k tokens with scores, types
 * and merges) take about 20 MB.
 */
export const MAX_HEADER_BYTES = 1 << 28;

/** Bytes read at a time. */
const WINDOW_BYTES = 1 << 20;

export class HeaderCursor {
  readonly #source: ByteSource;
  readonly #limit: number;
  #window: Uint8Array = new Uint8Array(0);
  #view: DataView = new DataView(new ArrayBuffer(0));
  #windowStart = 0;
  #position = 0;

  constructor(source: ByteSource) {
    this.#source = source;
    this.#limit = Math.min(source.byteLength, MAX_HEADER_BYTES);
  }

  get path(): string {
    return this.#source.path;
  }

  get position(): number {
    return this.#position;
  }

  /** Bytes that a header could still have from here. */
  get remaining(): number {
    return this.#limit - this.#position;
  }

  /** Throw unless `bytes` more bytes exist; `what` names them in the message. */
  check(bytes: number | bigint, what: string): void {
    if (bytes <= this.remaining) return;
    const inFile = bytes <= this.#source.byteLength - this.#position;
    const place = `${what} needs ${formatCount(bytes)} bytes at ${formatCount(this.#position)}`;
    if (inFile) {
      throw this.error(
        `${place}, beyond the ${formatCount(MAX_HEADER_BYTES)} that a header may have; the file is damaged`,
      );
    }
    throw new FormatError(
      this.#source.path,
      `gguf: ${place} but the file has ${formatCount(this.#source.byteLength)}; it is truncated or damaged`,
      { offset: this.#position, finding: "truncated" },
    );
  }

  error(message: string): FormatError {
    return new FormatError(this.#source.path, `gguf: ${message}`, { offset: this.#position });
  }

  async u32(what: string): Promise<number> {
    await this.#ensure(4, what);
    const value = this.#view.getUint32(this.#position - this.#windowStart, true);
    this.#position += 4;
    return value;
  }

  async u64(what: string): Promise<bigint> {
    await this.#ensure(8, what);
    const value = this.#view.getBigUint64(this.#position - this.#windowStart, true);
    this.#position += 8;
    return value;
  }

  /** The next `bytes` bytes, valid until the next call. */
  async bytes(bytes: number, what: string): Promise<Uint8Array> {
    await this.#ensure(bytes, what);
    const start = this.#position - this.#windowStart;
    this.#position += bytes;
    return this.#window.subarray(start, start + bytes);
  }

  /** Pass over `bytes` bytes without reading them. */
  skip(bytes: number | bigint, what: string): void {
    this.check(bytes, what);
    this.#position += Number(bytes);
  }

  /**
   * Pass over `count` length-prefixed strings, calling `visit` with the bytes of each. Synchronous within a window:
   * a vocabulary has hundreds of thousands of them.
   */
  async strings(count: number, what: string, visit: (text: Uint8Array) => void): Promise<void> {
    for (let i = 0; i < count; i++) {
      if (this.#buffered() < 8) await this.#ensure(8, what);
      const length = this.#view.getBigUint64(this.#position - this.#windowStart, true);
      this.#position += 8;
      this.check(length, what);
      const bytes = Number(length);
      if (this.#buffered() < bytes) await this.#ensure(bytes, what);
      const start = this.#position - this.#windowStart;
      visit(this.#window.subarray(start, start + bytes));
      this.#position += bytes;
    }
  }

  #buffered(): number {
    return this.#windowStart + this.#window.length - this.#position;
  }

  async #ensure(bytes: number, what: string): Promise<void> {
    this.check(bytes, what);
    if (this.#position >= this.#windowStart && this.#buffered() >= bytes) return;
    const length = Math.min(Math.max(bytes, WINDOW_BYTES), this.remaining);
    this.#window = await this.#source.read(this.#position, length);
    this.#view = new DataView(this.#window.buffer, this.#window.byteOffset, length);
    this.#windowStart = this.#position;
  }
}
