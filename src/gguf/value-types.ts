/**
 * The one table of key-value types (`enum gguf_type`), with the bytes of one element.
 * Source: ggml/include/gguf.h of llama.cpp v0.5.0.
 */

export type KeyValueType =
  | "u8"
  | "i8"
  | "u16"
  | "i16"
  | "u32"
  | "i32"
  | "f32"
  | "bool"
  | "string"
  | "u64"
  | "i64"
  | "f64";

export const ARRAY_TYPE_ID = 9;

/** `bytes` of a string is 0: it carries its own length. */
export const VALUE_TYPES: Readonly<Record<KeyValueType, { readonly id: number; readonly bytes: number }>> = {
  u8: { id: 0, bytes: 1 },
  i8: { id: 1, bytes: 1 },
  u16: { id: 2, bytes: 2 },
  i16: { id: 3, bytes: 2 },
  u32: { id: 4, bytes: 4 },
  i32: { id: 5, bytes: 4 },
  f32: { id: 6, bytes: 4 },
  bool: { id: 7, bytes: 1 },
  string: { id: 8, bytes: 0 },
  u64: { id: 10, bytes: 8 },
  i64: { id: 11, bytes: 8 },
  f64: { id: 12, bytes: 8 },
};

const BY_ID = new Map((Object.keys(VALUE_TYPES) as KeyValueType[]).map((type) => [VALUE_TYPES[type].id, type]));

/** The scalar or string type with this `enum gguf_type`; undefined for arrays and unknown ids. */
export function valueTypeFromId(id: number): KeyValueType | undefined {
  return BY_ID.get(id);
}

/** Default of `general.alignment` (GGUF_DEFAULT_ALIGNMENT). */
export const DEFAULT_ALIGNMENT = 32;
