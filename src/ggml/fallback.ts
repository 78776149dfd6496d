/**
 * The type that replaces one whose blocks don't divide a tensor's rows.
 * Follows `tensor_type_fallback` (src/llama-quant.cpp, llama.cpp v0.5.0). A fallback usually costs more bytes, so
 * whoever counts bytes must apply it first.
 */
import { UsageError } from "../errors.ts";
import { TENSOR_TYPES, type TensorType } from "./tensor-types.ts";

/** Types with larger blocks, and the type of (mostly) 32-element blocks that stands in for them. */
const SMALLER_BLOCKS: Readonly<Partial<Record<TensorType, TensorType>>> = {
  IQ1_S: "IQ4_NL",
  IQ1_M: "IQ4_NL",
  IQ2_XXS: "IQ4_NL",
  IQ2_XS: "IQ4_NL",
  IQ2_S: "IQ4_NL",
  IQ3_XXS: "IQ4_NL",
  IQ3_S: "IQ4_NL",
  IQ4_XS: "IQ4_NL",
  Q2_0: "Q4_0",
  Q2_K: "Q4_0",
  Q3_K: "Q4_0",
  TQ1_0: "Q4_0",
  TQ2_0: "Q4_0",
  Q4_K: "Q5_0",
  Q5_K: "Q5_1",
  Q6_K: "Q8_0",
};

/** Whether rows of this many elements are whole blocks of the type. */
export function fitsRows(type: TensorType, rowElements: number): boolean {
  return rowElements % TENSOR_TYPES[type].blockElements === 0;
}

/**
 * The type llama-quantize stores rows of `rowElements` in when `type` was chosen: the type itself if its blocks fit,
 * else its stand-in, else F16. Idempotent. Throws UsageError where llama-quantize gives up (Q1_0, NVFP4).
 */
export function fallbackType(type: TensorType, rowElements: number): TensorType {
  if (fitsRows(type, rowElements)) return type;
  const smaller = SMALLER_BLOCKS[type];
  if (smaller) return fitsRows(smaller, rowElements) ? smaller : "F16";
  const { blockElements } = TENSOR_TYPES[type];
  if (blockElements <= 32) return "F16";
  throw new UsageError(
    `${type} needs rows of a multiple of ${blockElements} elements, got ${rowElements}, and llama-quantize has no fallback for it; choose another type for this tensor`,
  );
}
