/**
 * One key of a header as llama.cpp reads it (llama_model_loader::get_key, get_arr, get_arr_n, get_key_or_arr): values have
 * exactly the type that is asked for, and lists the length.
 */
import type { Value } from "./expression.ts";
import { MAX_LAYERS } from "./hyperparameters.ts";
import type { AskedType, KeyStatement } from "./loader-table.ts";

/** How a value is stored, by gguf's names of types. */
export interface StoredType {
  readonly type: string;
  readonly element?: string;
  readonly length?: number;
}

export interface KeyReader {
  readonly arch: string;
  keyType(key: string): StoredType | undefined;
  /** A value as numbers and texts; booleans are 1 and 0. */
  keyValue(key: string): Value | undefined;
}

export interface KeyFault {
  readonly key: string;
  readonly asked: AskedType;
  readonly problem: "absent" | "type" | "length";
  /** What llama.cpp expects, and what is there. */
  readonly expected: string;
  readonly got: string;
  /** The rest of the header can be checked all the same: the value is known, or nothing depends on it. */
  readonly usable: boolean;
}

export interface ReadKey {
  readonly value?: Value;
  readonly fault?: KeyFault;
}

/** Element types that llama.cpp takes for what is asked; of fixed arrays, booleans too. */
const ELEMENTS: Readonly<Record<AskedType, readonly string[]>> = {
  u32: ["u32", "i32"],
  i32: ["u32", "i32"],
  u64: ["u64"],
  f32: ["f32"],
  bool: [],
  str: ["string"],
};

const SCALARS: Readonly<Record<AskedType, string>> = {
  u32: "u32",
  i32: "i32",
  u64: "u64",
  f32: "f32",
  bool: "bool",
  str: "string",
};

type Asked = Pick<KeyStatement, "do" | "type" | "key" | "optional" | "into">;

/** Read a key. `count` is the length that a list for each layer must have. */
export function readKey(reader: KeyReader, statement: Asked, count: number | undefined): ReadKey {
  const key = statement.key.replace("~", `${reader.arch}.`);
  const stored = reader.keyType(key);
  if (stored === undefined) return statement.optional ? {} : { fault: absent(key, statement) };
  const isList = stored.type === "array";
  if (statement.do === "length") {
    return isList ? { value: stored.length ?? 0 } : { fault: wrongType(key, statement, "array", stored, false) };
  }
  if (statement.do === "list" && !isList) return statement.optional ? {} : { fault: absent(key, statement) };
  if (statement.do === "list" || (statement.do === "each" && isList)) {
    return readList(reader, key, statement, stored, count);
  }
  const expected = SCALARS[statement.type];
  const value = reader.keyValue(key);
  if (stored.type === expected) return value === undefined ? {} : { value };
  const usable = typeof value === (expected === "string" ? "string" : "number");
  return {
    ...(usable && value !== undefined && { value }),
    fault: wrongType(key, statement, expected, stored, usable),
  };
}

function readList(
  reader: KeyReader,
  key: string,
  statement: Asked,
  stored: StoredType,
  count: number | undefined,
): ReadKey {
  const { length = 0, element = "" } = stored;
  const fixed = statement.do === "each" || statement.into?.startsWith("h.") === true;
  const most = fixed ? MAX_LAYERS : Number.POSITIVE_INFINITY;
  if ((count !== undefined && length !== count) || length > most) {
    const expected = count === undefined ? `at most ${most} values` : `one value or ${count}`;
    return { fault: { key, asked: statement.type, problem: "length", expected, got: String(length), usable: false } };
  }
  const taken = ELEMENTS[statement.type];
  const value = reader.keyValue(key) ?? [];
  if (taken.includes(element) || (fixed && element === "bool" && taken.includes("u32"))) return { value };
  return { value, fault: wrongType(key, statement, `array of ${taken[0] ?? statement.type}`, stored, true) };
}

function absent(key: string, { type, do: kind }: Asked): KeyFault {
  const expected = kind === "list" || kind === "length" ? `array of ${ELEMENTS[type][0] ?? type}` : SCALARS[type];
  return { key, asked: type, problem: "absent", expected, got: "nothing", usable: false };
}

function wrongType(key: string, { type }: Asked, expected: string, stored: StoredType, usable: boolean): KeyFault {
  const got = stored.type === "array" ? `array of ${stored.element ?? "nothing"}` : stored.type;
  return { key, asked: type, problem: "type", expected, got, usable };
}
