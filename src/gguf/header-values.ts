/**
 * The decoded values of the key-values, by `@huggingface/gguf` through a `fetch` that serves the scanned header.
 *
 * The parser works in chunks of 2 MB: a string cut by the end of a chunk comes back short without an error, an array is
 * read again from its start for every further chunk, and 50 MB or 1,000,000 elements end in an exception. So it is shown
 * the header without the arrays and strings that could meet these limits; those are decoded here.
 */
import { type GGUFParseOutput, gguf } from "@huggingface/gguf";
import { type ByteSource, formatCount } from "../bytes/source.ts";
import { FormatError } from "../errors.ts";
import type { ScannedHeader, ScannedKeyValue } from "./header-scan.ts";
import type { MetadataValue } from "./model.ts";
import { type KeyValueType, VALUE_TYPES } from "./value-types.ts";

/** A header up to this is in the parser's first chunk as a whole (HTTP_CHUNK_SIZE of @huggingface/gguf, bytes). */
const PARSER_CHUNK_BYTES = 2_000_000;
/** The parser has at least 500,000 bytes before it when it starts an entry (HTTP_DATA_LEEWAY); the rest is for the key. */
const PARSER_VALUE_BYTES = 400_000;
/** The parser's buffer ends at 50,000,000 bytes (HTTP_TOTAL_MAX_SIZE), allocated in whole chunks. */
const PARSER_TOTAL_BYTES = 48_000_000;
/** First byte of the key-value count, after magic, version and tensor count. */
const KEY_VALUE_COUNT_OFFSET = 16;

/** Decode all values of a scanned header, by key. Throws FormatError where the parser and the scan disagree. */
export async function readValues(source: ByteSource, scan: ScannedHeader): Promise<Map<string, MetadataValue>> {
  const large = scan.end > PARSER_CHUNK_BYTES ? scan.keyValues.filter(isLarge) : [];
  const ranges = rangesWithout(scan.end, large);
  const parsed = await parse(source, ranges, scan.keyValues.length - large.length);
  checkAgreement(source.path, scan, parsed, lengthOf(ranges));
  const values = new Map<string, MetadataValue>();
  for (const keyValue of scan.keyValues) {
    if (large.includes(keyValue)) {
      values.set(keyValue.key, await decodeLarge(source, keyValue));
      continue;
    }
    const value = Object.hasOwn(parsed.metadata, keyValue.key)
      ? (parsed.metadata[keyValue.key] as MetadataValue)
      : undefined;
    if (value === undefined || (Array.isArray(value) ? value.length : undefined) !== keyValue.elements) {
      throw disagreement(source.path, `the value of ${keyValue.key}`);
    }
    values.set(keyValue.key, value);
  }
  return values;
}

const isLarge = (keyValue: ScannedKeyValue): boolean => keyValue.end - keyValue.start > PARSER_VALUE_BYTES;

type Parsed = GGUFParseOutput<{ strict: false }>;

async function parse(source: ByteSource, ranges: readonly Range[], keyValueCount: number): Promise<Parsed> {
  const totalBytes = lengthOf(ranges);
  if (totalBytes > PARSER_TOTAL_BYTES) {
    throw new FormatError(
      source.path,
      `gguf: the header has ${formatCount(totalBytes)} bytes besides its large values, more than the ${formatCount(PARSER_TOTAL_BYTES)} believed; the file is damaged`,
    );
  }
  const serve: typeof fetch = async (_url, request) => {
    const asked = /^bytes=(\d+)-(\d+)$/.exec(new Headers(request?.headers).get("range") ?? "");
    if (!asked) throw new Error("the GGUF parser asked for a whole file");
    const from = Math.min(Number(asked[1]), totalBytes);
    const to = Math.min(Number(asked[2]) + 1, totalBytes);
    const body = await readRanges(source, ranges, from, to);
    if (from === 0) new DataView(body.buffer).setBigUint64(KEY_VALUE_COUNT_OFFSET, BigInt(keyValueCount), true);
    return new Response(body, { status: 206 });
  };
  try {
    // The parser takes web addresses only; this one is never resolved.
    return (await gguf("https://header.invalid/model.gguf", { fetch: serve })) as Parsed;
  } catch (cause) {
    if (cause instanceof FormatError) throw cause;
    throw new FormatError(source.path, `gguf: the header can't be parsed: ${(cause as Error).message}`, { cause });
  }
}

interface Range {
  readonly start: number;
  readonly end: number;
}

function rangesWithout(end: number, removed: readonly Range[]): Range[] {
  const ranges: Range[] = [];
  let start = 0;
  for (const gap of removed) {
    ranges.push({ start, end: gap.start });
    start = gap.end;
  }
  ranges.push({ start, end });
  return ranges;
}

function lengthOf(ranges: readonly Range[]): number {
  return ranges.reduce((sum, { start, end }) => sum + end - start, 0);
}

/** Bytes `from` to `to` of the concatenated ranges, in a buffer of their own. */
async function readRanges(source: ByteSource, ranges: readonly Range[], from: number, to: number) {
  const bytes = new Uint8Array(to - from);
  let before = 0;
  for (const range of ranges) {
    const first = Math.max(from - before, 0);
    const last = Math.min(to - before, range.end - range.start);
    if (first < last) bytes.set(await source.read(range.start + first, last - first), before + first - from);
    before += range.end - range.start;
  }
  return bytes;
}

function checkAgreement(path: string, scan: ScannedHeader, parsed: Parsed, end: number): void {
  if (parsed.tensorInfos.length !== scan.tensors.length) throw disagreement(path, "the tensor count");
  if (parsed.tensorInfoByteRange[1] !== end) throw disagreement(path, "the end of the header");
  scan.tensors.forEach((tensor, i) => {
    const other = parsed.tensorInfos[i];
    if (
      other?.name !== tensor.name ||
      (other.dtype as number) !== tensor.typeId ||
      other.offset !== BigInt(tensor.offset) ||
      other.shape.length !== tensor.shape.length ||
      !other.shape.every((n, axis) => n === BigInt(tensor.shape[axis] ?? 0))
    ) {
      throw disagreement(path, `tensor ${tensor.name}`);
    }
  });
}

function disagreement(path: string, what: string): FormatError {
  return new FormatError(path, `gguf: two readings of ${what} disagree; the file is damaged`);
}

async function decodeLarge(source: ByteSource, { valueStart, end, type, elements }: ScannedKeyValue) {
  // An array's element type and length come first.
  const start = elements === undefined ? valueStart : valueStart + 4 + 8;
  const bytes = await source.read(start, end - start);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const values: MetadataValue[] = [];
  let position = 0;
  for (let i = 0; i < (elements ?? 1); i++) {
    if (type === "string") {
      const length = Number(view.getBigUint64(position, true));
      position += 8;
      values.push(TEXT.decode(bytes.subarray(position, position + length)));
      position += length;
    } else {
      values.push(DECODERS[type](view, position));
      position += VALUE_TYPES[type].bytes;
    }
  }
  return elements === undefined ? (values[0] as MetadataValue) : values;
}

const TEXT = new TextDecoder();

const DECODERS: Record<Exclude<KeyValueType, "string">, (view: DataView, at: number) => MetadataValue> = {
  u8: (view, at) => view.getUint8(at),
  i8: (view, at) => view.getInt8(at),
  u16: (view, at) => view.getUint16(at, true),
  i16: (view, at) => view.getInt16(at, true),
  u32: (view, at) => view.getUint32(at, true),
  i32: (view, at) => view.getInt32(at, true),
  f32: (view, at) => view.getFloat32(at, true),
  bool: (view, at) => view.getUint8(at) !== 0,
  u64: (view, at) => view.getBigUint64(at, true),
  i64: (view, at) => view.getBigInt64(at, true),
  f64: (view, at) => view.getFloat64(at, true),
};
