/** A value of a key in another type, where it has the same value there: what a repair writes. */
import type { NewKeyValue } from "../gguf/header-bytes.ts";
import type { MetadataValue } from "../gguf/model.ts";

const MAX_U32 = 2 ** 32 - 1;

/** Undefined where the type has no such value, as a u32 has none for -1. */
export function storedAs(key: string, value: MetadataValue, type: string): NewKeyValue | undefined {
  if (typeof value !== "number" && typeof value !== "bigint") return undefined;
  const number = Number(value);
  switch (type) {
    case "u32":
      return Number.isInteger(number) && number >= 0 && number <= MAX_U32 ? { key, type, value: number } : undefined;
    case "f32":
      return Number.isFinite(Math.fround(number)) ? { key, type, value: number } : undefined;
    case "bool":
      return number === 0 || number === 1 ? { key, type, value: number === 1 } : undefined;
    default:
      return undefined;
  }
}

/** The same of a list, as i32 or f32. */
export function storedAsList(key: string, value: MetadataValue, element: "i32" | "f32"): NewKeyValue | undefined {
  if (!Array.isArray(value) || value.length === 0) return undefined;
  if (value.some((each) => typeof each === "string" || typeof each === "object")) return undefined;
  const numbers = value.map(Number);
  const fits = (each: number) =>
    element === "f32"
      ? Number.isFinite(Math.fround(each))
      : Number.isInteger(each) && each >= -(2 ** 31) && each < 2 ** 31;
  return numbers.every(fits) ? { key, type: { array: element }, value: numbers } : undefined;
}
