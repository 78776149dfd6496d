/**
 * Encodes the header of a GGUF file: magic, version, counts, key-values, tensor infos, without the final padding.
 * Follows `gguf_write_out` of ggml/src/gguf.cpp (llama.cpp v0.5.0), versions 2 and 3 alike.
 */
import { UsageError } from "../errors.ts";
import type { TensorType } from "../ggml/tensor-types.ts";
import { TENSOR_TYPES } from "../ggml/tensor-types.ts";
import type { MetadataValue } from "./model.ts";
import { ARRAY_TYPE_ID, type KeyValueType, VALUE_TYPES } from "./value-types.ts";

export interface NewKeyValue {
  readonly key: string;
  readonly type: KeyValueType | { readonly array: KeyValueType };
  readonly value: MetadataValue;
}

/** An entry of another file, copied as it is. */
export interface RawKeyValue {
  readonly key: string;
  /** The whole entry, its key included. */
  readonly raw: Uint8Array;
}

export interface NewTensorInfo {
  readonly name: string;
  /** ne, innermost dimension first. */
  readonly shape: readonly number[];
  readonly type: TensorType;
  /** From the start of the data section. */
  readonly offset: number;
}

export const GGUF_MAGIC = new Uint8Array([0x47, 0x47, 0x55, 0x46]);

/** Encode a whole header. Throws UsageError for a value that its type can't hold. */
export function encodeHeader(
  version: number,
  keyValues: readonly (NewKeyValue | RawKeyValue)[],
  tensors: readonly NewTensorInfo[],
): Uint8Array {
  const out = new ByteWriter();
  out.bytes(GGUF_MAGIC);
  out.scalar("u32", version);
  out.scalar("u64", tensors.length);
  out.scalar("u64", keyValues.length);
  for (const keyValue of keyValues) {
    if ("raw" in keyValue) out.bytes(keyValue.raw);
    else encodeKeyValue(out, keyValue);
  }
  for (const tensor of tensors) {
    out.scalar("string", tensor.name);
    out.scalar("u32", tensor.shape.length);
    for (const n of tensor.shape) out.scalar("u64", n);
    out.scalar("u32", TENSOR_TYPES[tensor.type].id);
    out.scalar("u64", tensor.offset);
  }
  return out.finish();
}

function encodeKeyValue(out: ByteWriter, { key, type, value }: NewKeyValue): void {
  out.scalar("string", key);
  if (typeof type === "string") {
    out.scalar("u32", VALUE_TYPES[type].id);
    out.scalar(type, value);
    return;
  }
  if (!Array.isArray(value)) throw new UsageError(`gguf: ${key} is declared an array, got ${typeof value}`);
  out.scalar("u32", ARRAY_TYPE_ID);
  out.scalar("u32", VALUE_TYPES[type.array].id);
  out.scalar("u64", value.length);
  for (const element of value) out.scalar(type.array, element);
}

const ENCODER = new TextEncoder();

type NumberType = Exclude<KeyValueType, "string" | "u64" | "i64">;

const RANGES: Partial<Record<NumberType, readonly [number, number]>> = {
  u8: [0, 2 ** 8 - 1],
  i8: [-(2 ** 7), 2 ** 7 - 1],
  u16: [0, 2 ** 16 - 1],
  i16: [-(2 ** 15), 2 ** 15 - 1],
  u32: [0, 2 ** 32 - 1],
  i32: [-(2 ** 31), 2 ** 31 - 1],
};

const SETTERS: Record<NumberType, (view: DataView, at: number, value: number) => void> = {
  u8: (view, at, value) => view.setUint8(at, value),
  i8: (view, at, value) => view.setInt8(at, value),
  bool: (view, at, value) => view.setUint8(at, value),
  u16: (view, at, value) => view.setUint16(at, value, true),
  i16: (view, at, value) => view.setInt16(at, value, true),
  u32: (view, at, value) => view.setUint32(at, value, true),
  i32: (view, at, value) => view.setInt32(at, value, true),
  f32: (view, at, value) => view.setFloat32(at, value, true),
  f64: (view, at, value) => view.setFloat64(at, value, true),
};

/** A growing little-endian buffer. */
class ByteWriter {
  #buffer = new Uint8Array(4096);
  #view = new DataView(this.#buffer.buffer);
  #length = 0;

  bytes(data: Uint8Array): void {
    this.#reserve(data.length);
    this.#buffer.set(data, this.#length);
    this.#length += data.length;
  }

  scalar(type: KeyValueType, value: MetadataValue): void {
    if (type === "string") {
      if (typeof value !== "string") throw new UsageError(`gguf: expected a string, got ${typeof value}`);
      const text = ENCODER.encode(value);
      this.scalar("u64", text.length);
      this.bytes(text);
      return;
    }
    const { bytes } = VALUE_TYPES[type];
    this.#reserve(bytes);
    this.#set(type, value);
    this.#length += bytes;
  }

  finish(): Uint8Array {
    return this.#buffer.slice(0, this.#length);
  }

  #set(type: Exclude<KeyValueType, "string">, value: MetadataValue): void {
    if (type === "bool" ? typeof value !== "boolean" : typeof value !== "number" && typeof value !== "bigint") {
      throw new UsageError(`gguf: expected a value of type ${type}, got ${typeof value}`);
    }
    if (type === "u64" || type === "i64") {
      const integer = BigInt(value as number | bigint);
      if ((type === "u64" ? BigInt.asUintN(64, integer) : BigInt.asIntN(64, integer)) !== integer) {
        throw new UsageError(`gguf: ${integer} does not fit ${type}`);
      }
      this.#view.setBigUint64(this.#length, BigInt.asUintN(64, integer), true);
      return;
    }
    const number = Number(value);
    const range = RANGES[type];
    if (range && !(Number.isInteger(number) && number >= range[0] && number <= range[1])) {
      throw new UsageError(`gguf: ${number} does not fit ${type}`);
    }
    SETTERS[type](this.#view, this.#length, number);
  }

  #reserve(bytes: number): void {
    if (this.#length + bytes <= this.#buffer.length) return;
    const grown = new Uint8Array(Math.max(this.#buffer.length * 2, this.#length + bytes));
    grown.set(this.#buffer);
    this.#buffer = grown;
    this.#view = new DataView(grown.buffer);
  }
}
