/**
 * Walks the raw header: where every key-value lies and what the tensor list says, before any parser is trusted with it.
 * Each count, length and type is checked against the bytes that exist before it is used, so a hostile header fails
 * fast and without a large allocation. Follows `gguf_init_from_reader` of ggml/src/gguf.cpp (llama.cpp v0.5.0).
 */

import { type ByteSource, formatCount } from "../bytes/source.ts";
import { FormatError } from "../errors.ts";
import { present } from "../present.ts";
import { GGUF_MAGIC } from "./header-bytes.ts";
import { HeaderCursor } from "./header-cursor.ts";
import type { KeyValueRange } from "./model.ts";
import { TokenListScan } from "./token-list.ts";
import { ARRAY_TYPE_ID, type KeyValueType, VALUE_TYPES, valueTypeFromId } from "./value-types.ts";

export interface ScannedKeyValue extends KeyValueRange {
  /** First byte of the value: of a string's length, of an array's element type. */
  readonly valueStart: number;
  /** The type of the value, of an array's elements. */
  readonly type: KeyValueType;
  /** Elements of an array; undefined for other values. */
  readonly elements: number | undefined;
}

export interface ScannedTensor {
  readonly name: string;
  readonly shape: readonly number[];
  /** `enum ggml_type`, not yet checked. */
  readonly typeId: number;
  /** From the start of the data section. */
  readonly offset: number;
}

export interface ScannedHeader {
  readonly version: number;
  readonly keyValues: readonly ScannedKeyValue[];
  readonly tensors: readonly ScannedTensor[];
  /** First byte of the tensor list. */
  readonly tensorListStart: number;
  /** One past the last byte of the tensor list. */
  readonly end: number;
}

/** Largest counts believed; the largest known models have under 100 keys, 100k tensors and 1M tokens. */
const MAX_KEY_VALUES = 1 << 16;
const MAX_TENSORS = 1 << 20;
const MAX_ARRAY_ELEMENTS = 1 << 24;
/** Bytes of a key (GGUF specification). */
const MAX_KEY_BYTES = 65_535;
/** GGML_MAX_NAME less the terminating NUL. */
const MAX_NAME_BYTES = 63;
const MAX_DIMENSIONS = 4;
/** Length, one byte of text, type, one byte of value. */
const MIN_KEY_VALUE_BYTES = 8 + 1 + 4 + 1;
/** Length, one byte of text, dimension count, one dimension, type, offset. */
const MIN_TENSOR_BYTES = 8 + 1 + 4 + 8 + 4 + 8;

const TOKENS_KEY = "tokenizer.ggml.tokens";

/** Keys that would reach the prototype of a parser's plain object. */
const FORBIDDEN_KEYS = new Set(["__proto__", "constructor", "prototype"]);

/** Scan the header of a GGUF file. Throws FormatError for everything that llama.cpp or a plain object would trip over. */
export async function scanHeader(source: ByteSource): Promise<ScannedHeader> {
  const cursor = new HeaderCursor(source);
  const version = await scanVersion(cursor, source);
  const tensorCount = await scanCount(cursor, "tensor", MIN_TENSOR_BYTES, MAX_TENSORS);
  const keyValueCount = await scanCount(cursor, "key-value", MIN_KEY_VALUE_BYTES, MAX_KEY_VALUES);

  const keyValues: ScannedKeyValue[] = [];
  const keys = new Set<string>();
  for (let i = 0; i < keyValueCount; i++) {
    const keyValue = await scanKeyValue(cursor, i);
    if (keys.has(keyValue.key)) throw cursor.error(`the key ${keyValue.key} appears twice; the file is damaged`);
    keys.add(keyValue.key);
    keyValues.push(keyValue);
  }
  const tensorListStart = cursor.position;
  const tensors: ScannedTensor[] = [];
  const names = new Set<string>();
  for (let i = 0; i < tensorCount; i++) {
    const tensor = await scanTensor(cursor, i);
    if (names.has(tensor.name)) throw cursor.error(`two tensors are named ${tensor.name}; the file is damaged`);
    names.add(tensor.name);
    tensors.push(tensor);
  }
  return { version, keyValues, tensors, tensorListStart, end: cursor.position };
}

async function scanVersion(cursor: HeaderCursor, source: ByteSource): Promise<number> {
  if (source.byteLength < 24) {
    throw new FormatError(
      source.path,
      `gguf: the file has ${source.byteLength} bytes, a GGUF header at least 24; the download is probably truncated`,
      { offset: 0, finding: "truncated" },
    );
  }
  const magic = await cursor.bytes(GGUF_MAGIC.length, "the magic");
  if (!GGUF_MAGIC.every((byte, i) => byte === magic[i])) {
    const got = Array.from(magic, (byte) => byte.toString(16).padStart(2, "0")).join(" ");
    throw new FormatError(
      source.path,
      `gguf: expected the magic "GGUF" (47 47 55 46), got ${got}; this is not a GGUF file`,
      {
        offset: 0,
      },
    );
  }
  const version = await cursor.u32("the version");
  if (version === 2 || version === 3) return version;
  if (version !== 0 && (version & 0xffff) === 0) {
    throw cursor.error("this is a big-endian file; convert the model again for a little-endian machine");
  }
  throw cursor.error(
    version === 1
      ? "version 1 is no longer supported, by llama.cpp neither; convert the model again"
      : `expected version 2 or 3, got ${version}; the file is damaged or newer than this program`,
  );
}

async function scanCount(cursor: HeaderCursor, what: string, minBytes: number, maximum: number): Promise<number> {
  const count = await cursor.u64(`the ${what} count`);
  if (count > maximum) {
    throw cursor.error(
      `the header claims ${formatCount(count)} ${what}s, more than the ${formatCount(maximum)} believed; the file is damaged`,
    );
  }
  cursor.check(Number(count) * minBytes, `a header with ${formatCount(count)} ${what}s`);
  return Number(count);
}

async function scanKeyValue(cursor: HeaderCursor, index: number): Promise<ScannedKeyValue> {
  const start = cursor.position;
  const key = await scanName(cursor, `key ${index}`, MAX_KEY_BYTES);
  if (FORBIDDEN_KEYS.has(key)) throw cursor.error(`the key ${key} is not allowed; the file is hostile or damaged`);
  const valueType = await cursor.u32(`the type of ${key}`);
  const valueStart = cursor.position;
  const isArray = valueType === ARRAY_TYPE_ID;
  const typeId = isArray ? await cursor.u32(`the element type of ${key}`) : valueType;
  const type = valueTypeFromId(typeId);
  if (type === undefined) {
    const reason = isArray && typeId === ARRAY_TYPE_ID ? "is an array of arrays" : `has the unknown type ${typeId}`;
    throw cursor.error(`the value of ${key} ${reason}, which llama.cpp does not read; the file is damaged`);
  }
  const elements = isArray ? await scanElementCount(cursor, key, type) : undefined;
  let nulTailBytes = 0;
  const tokens = key === TOKENS_KEY && isArray ? new TokenListScan() : undefined;
  if (type === "string") {
    await cursor.strings(elements ?? 1, `the value of ${key}`, (text) => {
      tokens?.add(text);
      const nul = text.indexOf(0);
      if (nul >= 0) nulTailBytes += text.length - nul;
    });
  } else {
    cursor.skip((elements ?? 1) * VALUE_TYPES[type].bytes, `the value of ${key}`);
  }
  const range = { key, valueType, start, end: cursor.position, valueStart, type, elements };
  return {
    ...range,
    ...(nulTailBytes > 0 ? { nulTailBytes } : {}),
    ...present({ tokenFaults: tokens?.faults }),
  };
}

async function scanElementCount(cursor: HeaderCursor, key: string, type: KeyValueType): Promise<number> {
  const count = await cursor.u64(`the length of ${key}`);
  const elementBytes = type === "string" ? 8 : VALUE_TYPES[type].bytes;
  cursor.check(count * BigInt(elementBytes), `the value of ${key} with ${formatCount(count)} elements`);
  if (count > MAX_ARRAY_ELEMENTS) {
    throw cursor.error(
      `the value of ${key} has ${formatCount(count)} elements, more than the ${formatCount(MAX_ARRAY_ELEMENTS)} believed`,
    );
  }
  return Number(count);
}

async function scanTensor(cursor: HeaderCursor, index: number): Promise<ScannedTensor> {
  const name = await scanName(cursor, `the name of tensor ${index}`, MAX_NAME_BYTES);
  const dimensions = await cursor.u32(`tensor ${name}`);
  if (dimensions < 1 || dimensions > MAX_DIMENSIONS) {
    throw cursor.error(`tensor ${name} has ${dimensions} dimensions, expected 1 to 4; the file is damaged`);
  }
  const shape: number[] = [];
  let elements = 1n;
  for (let i = 0; i < dimensions; i++) {
    const n = await cursor.u64(`tensor ${name}`);
    if (n < 1n) throw cursor.error(`tensor ${name} has a dimension of 0, expected at least 1; the file is damaged`);
    elements *= n;
    if (elements > Number.MAX_SAFE_INTEGER) {
      throw cursor.error(`tensor ${name} has more than 2^53 elements; the file is damaged`);
    }
    shape.push(Number(n));
  }
  const typeId = await cursor.u32(`tensor ${name}`);
  const offset = await cursor.u64(`tensor ${name}`);
  if (offset > Number.MAX_SAFE_INTEGER) {
    throw cursor.error(`tensor ${name} starts at ${formatCount(offset)}, beyond any file; the file is damaged`);
  }
  return { name, shape, typeId, offset: Number(offset) };
}

/** A key or a tensor name: not empty, valid UTF-8, without control characters (both end up in logs and commands). */
async function scanName(cursor: HeaderCursor, what: string, maxBytes: number): Promise<string> {
  const length = await cursor.u64(what);
  cursor.check(length, what);
  if (length === 0n) throw cursor.error(`${what} is empty; the file is damaged or truncated`);
  if (length > maxBytes) {
    throw cursor.error(`${what} has ${formatCount(length)} bytes, expected at most ${maxBytes}; the file is damaged`);
  }
  const bytes = await cursor.bytes(Number(length), what);
  let name: string;
  try {
    name = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (cause) {
    throw new FormatError(cursor.path, `gguf: ${what} is not valid UTF-8; the file is damaged`, {
      cause,
      offset: cursor.position,
    });
  }
  if (/\p{Cc}/u.test(name)) throw cursor.error(`${what} holds control characters; the file is damaged`);
  return name;
}
