/**
 * The one table that knows a tensor type: ggml id, block size and bytes, and what ggml_quantize_chunk makes of it.
 * Follows `type_traits` and `ggml_quantize_chunk` of ggml (llama.cpp v0.5.0).
 */

/** What PRISM itself does with a type. */
interface Use {
  /** In a cell of one character: the digit of the bits for the K types, a letter for others. Absent: "?". */
  readonly mark?: string;
  /** The planner may choose it where rows fit this block; "any": whatever they fit. */
  readonly candidate?: 32 | 256 | "any";
  /** Its quantizer first makes large tables (3 to 20 s, kept as long as a process lives): 1 is the slowest to make. */
  readonly tables?: number;
}

export interface TensorTypeTraits extends Use {
  /** `enum ggml_type`. */
  readonly id: number;
  /** Elements that share a scale; a row must be a multiple of it. */
  readonly blockElements: number;
  readonly blockBytes: number;
  /** Whether llama-quantize can produce it (`ggml_quantize_chunk` has a case for it), and read it (`to_float`). */
  readonly target: boolean;
  /** What the quantizer does with an importance vector. */
  readonly importance: "required" | "used" | "ignored";
}

const traits = (
  id: number,
  blockElements: number,
  blockBytes: number,
  target: boolean,
  importance: TensorTypeTraits["importance"] = "ignored",
  use: Use = {},
): TensorTypeTraits => ({ id, blockElements, blockBytes, target, importance, ...use });

export const TENSOR_TYPES = {
  F32: traits(0, 1, 4, true, "ignored", { mark: "F" }),
  F16: traits(1, 1, 2, true, "ignored", { mark: "H", candidate: "any" }),
  Q4_0: traits(2, 32, 18, true, "used", { mark: "o", candidate: 32 }),
  Q4_1: traits(3, 32, 20, true, "used", { mark: "p", candidate: 32 }),
  Q5_0: traits(6, 32, 22, true, "used", { mark: "q", candidate: 32 }),
  Q5_1: traits(7, 32, 24, true, "used", { mark: "r", candidate: 32 }),
  Q8_0: traits(8, 32, 34, true, "ignored", { mark: "8", candidate: "any" }),
  Q8_1: traits(9, 32, 36, false),
  Q2_K: traits(10, 256, 84, true, "used", { mark: "2", candidate: 256 }),
  Q3_K: traits(11, 256, 110, true, "used", { mark: "3", candidate: 256 }),
  Q4_K: traits(12, 256, 144, true, "used", { mark: "4", candidate: 256 }),
  Q5_K: traits(13, 256, 176, true, "used", { mark: "5", candidate: 256 }),
  Q6_K: traits(14, 256, 210, true, "used", { mark: "6", candidate: 256 }),
  Q8_K: traits(15, 256, 292, false),
  IQ2_XXS: traits(16, 256, 66, true, "required", { mark: "e", candidate: 256, tables: 5 }),
  IQ2_XS: traits(17, 256, 74, true, "required", { mark: "d", candidate: 256, tables: 4 }),
  IQ3_XXS: traits(18, 256, 98, true, "required", { mark: "t", candidate: 256 }),
  IQ1_S: traits(19, 256, 50, true, "required", { mark: "l", tables: 2 }),
  IQ4_NL: traits(20, 32, 18, true, "used", { mark: "n", candidate: "any" }),
  IQ3_S: traits(21, 256, 110, true, "used", { mark: "s", candidate: 256 }),
  IQ2_S: traits(22, 256, 82, true, "required", { mark: "c", candidate: 256, tables: 3 }),
  IQ4_XS: traits(23, 256, 136, true, "used", { mark: "x", candidate: 256 }),
  I8: traits(24, 1, 1, false),
  I16: traits(25, 1, 2, false),
  I32: traits(26, 1, 4, false),
  I64: traits(27, 1, 8, false),
  F64: traits(28, 1, 8, false),
  IQ1_M: traits(29, 256, 56, true, "required", { mark: "m", candidate: 256, tables: 1 }),
  BF16: traits(30, 1, 2, true, "ignored", { mark: "B" }),
  TQ1_0: traits(34, 256, 54, true, "ignored", { mark: "y" }),
  TQ2_0: traits(35, 256, 66, true, "ignored", { mark: "z" }),
  MXFP4: traits(39, 32, 17, true, "ignored", { mark: "v" }),
  NVFP4: traits(40, 64, 36, true, "ignored", { mark: "w" }),
  Q1_0: traits(41, 128, 18, true),
  Q2_0: traits(42, 64, 18, true),
} satisfies Record<string, TensorTypeTraits>;

export type TensorType = keyof typeof TENSOR_TYPES;

const NAMES = Object.keys(TENSOR_TYPES) as TensorType[];
const BY_ID = new Map(NAMES.map((name) => [TENSOR_TYPES[name].id, name]));
const BY_LOWER_CASE = new Map(NAMES.map((name) => [name.toLowerCase(), name]));

export const TENSOR_TYPE_NAMES: readonly TensorType[] = NAMES;

/** The type with this `enum ggml_type`, or undefined for removed and unknown ids. */
export function tensorTypeFromId(id: number): TensorType | undefined {
  return BY_ID.get(id);
}

/** The type with this name in any case (`q4_k`, `Q4_K`), or undefined. */
export function parseTensorType(name: string): TensorType | undefined {
  return BY_LOWER_CASE.get(name.toLowerCase());
}

/** The name as ggml prints it (`q4_K`, `iq4_xs`, `f16`), which llama-quantize parses in any case. */
export function ggmlTypeName(type: TensorType): string {
  return type.endsWith("_K") ? `${type.slice(0, -1).toLowerCase()}K` : type.toLowerCase();
}

/** Types that store one number per weight without a block scale. */
export function isFloatType(type: TensorType): boolean {
  return type === "F32" || type === "F16" || type === "BF16" || type === "F64";
}

/** Types that hold quantized weights (neither floats nor integers). */
export function isQuantizedType(type: TensorType): boolean {
  return TENSOR_TYPES[type].blockElements > 1;
}

export function bitsPerWeight(type: TensorType): number {
  const { blockBytes, blockElements } = TENSOR_TYPES[type];
  return (8 * blockBytes) / blockElements;
}

/** Bytes of one row of `rowElements` weights (ggml_row_size). The row must be whole blocks. */
export function rowBytes(type: TensorType, rowElements: number): number {
  const { blockBytes, blockElements } = TENSOR_TYPES[type];
  if (rowElements % blockElements !== 0) {
    throw new RangeError(`a row of ${rowElements} elements is not a multiple of ${type}'s block of ${blockElements}`);
  }
  return (rowElements / blockElements) * blockBytes;
}

/** Elements of a shape (ne[0] first). */
export function elementCount(shape: readonly number[]): number {
  return shape.reduce((product, n) => product * n, 1);
}

/** Bytes of a whole tensor of this shape (ne[0] first), without padding. */
export function tensorBytes(type: TensorType, shape: readonly number[]): number {
  const row = shape[0] ?? 1;
  return rowBytes(type, row) * (elementCount(shape) / row);
}
