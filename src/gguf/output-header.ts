/**
 * The exact bytes of the header that llama-quantize writes for a model, without writing it.
 *
 * header = magic 4 + version 4 + counts 16 + Σ key-values + Σ tensor infos, where the key-values are those of the first
 * shard without split.*, with general.quantization_version and general.file_type set anew as u32.
 * Follows `llama_model_quantize_impl` (src/llama-quant.cpp) and `gguf_write_out` (ggml/src/gguf.cpp, llama.cpp v0.5.0).
 */
import { dimensionCount } from "../ggml/convertible.ts";
import type { Model } from "./model.ts";
import { overrideBytes } from "./raw-text.ts";

const FIXED_BYTES = 4 + 4 + 8 + 8;
/** Length of a string, before its bytes. */
const LENGTH_BYTES = 8;
const TYPE_BYTES = 4;

/** What llama-quantize leaves out of a source in shards. */
export const REMOVED_KEYS: readonly string[] = ["split.no", "split.count", "split.tensors.count"];
/** Removed and appended as u32. */
const SET_KEYS = ["general.quantization_version", "general.file_type"];

/** Bytes of the header of the quantized file, without the final padding and without quantize.imatrix.* keys. */
export function outputHeaderBytes(model: Pick<Model, "keyValues" | "tensors">): number {
  let bytes = FIXED_BYTES;
  for (const { key, start, end, nulTailBytes } of model.keyValues) {
    if (!REMOVED_KEYS.includes(key) && !SET_KEYS.includes(key)) bytes += end - start - (nulTailBytes ?? 0);
  }
  for (const key of SET_KEYS) bytes += u32KeyBytes(key);
  for (const { name, shape } of model.tensors) {
    bytes += stringBytes(name) + 4 + 8 * dimensionCount(shape) + 4 + 8;
  }
  return bytes;
}

export interface ImatrixKeys {
  /** Path as given to --imatrix. */
  readonly file: string;
  /** The first dataset named in the imatrix; "" where it names none. */
  readonly dataset: string;
  /** Tensors with an importance vector. */
  readonly entries: number;
  readonly chunks: number;
}

/**
 * Header bytes that the quantize.imatrix.* keys add, as tools/quantize sets them: strings cut at 127 bytes, whole numbers
 * as u32, no dataset where there is none, no chunk count unless positive, nothing for an empty imatrix.
 * A `model` that has such keys already gets them replaced, so only the difference counts.
 */
export function imatrixKeyBytes(imatrix: ImatrixKeys, model?: Pick<Model, "keyValues">): number {
  if (imatrix.entries === 0) return 0;
  const keys = new Map([["quantize.imatrix.file", stringKeyBytes("quantize.imatrix.file", imatrix.file)]]);
  if (imatrix.dataset !== "") {
    keys.set("quantize.imatrix.dataset", stringKeyBytes("quantize.imatrix.dataset", imatrix.dataset));
  }
  keys.set("quantize.imatrix.entries_count", u32KeyBytes("quantize.imatrix.entries_count"));
  if (imatrix.chunks > 0) {
    keys.set("quantize.imatrix.chunks_count", u32KeyBytes("quantize.imatrix.chunks_count"));
  }
  let bytes = 0;
  for (const added of keys.values()) bytes += added;
  for (const { key, start, end, nulTailBytes } of model?.keyValues ?? []) {
    if (keys.has(key)) bytes -= end - start - (nulTailBytes ?? 0);
  }
  return bytes;
}

/** Header bytes that strings add, as `llama_model_kv_override` sets them; the model has none of these keys. */
export function noteBytes(notes: ReadonlyMap<string, string>): number {
  return [...notes].reduce((bytes, [key, value]) => bytes + stringKeyBytes(key, value), 0);
}

function stringKeyBytes(key: string, value: string): number {
  return stringBytes(key) + TYPE_BYTES + LENGTH_BYTES + overrideBytes(value).length;
}

function u32KeyBytes(key: string): number {
  return stringBytes(key) + TYPE_BYTES + 4;
}

function stringBytes(text: string): number {
  return LENGTH_BYTES + new TextEncoder().encode(text).length;
}
