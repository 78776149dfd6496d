/**
 * The stock presets (`enum llama_ftype`) by the name llama-quantize takes, with the tensor type each starts from.
 * Follows `QUANT_OPTIONS` of tools/quantize and `llama_ftype_get_default_type` (llama.cpp v0.5.0).
 */
import type { TensorType } from "./tensor-types.ts";

export interface FileTypeTraits {
  /** `enum llama_ftype`, written as general.file_type. */
  readonly id: number;
  readonly defaultType: TensorType;
}

const fileType = (id: number, defaultType: TensorType): FileTypeTraits => ({ id, defaultType });

export const FILE_TYPES = {
  F32: fileType(0, "F32"),
  F16: fileType(1, "F16"),
  Q4_0: fileType(2, "Q4_0"),
  Q4_1: fileType(3, "Q4_1"),
  Q8_0: fileType(7, "Q8_0"),
  Q5_0: fileType(8, "Q5_0"),
  Q5_1: fileType(9, "Q5_1"),
  Q2_K: fileType(10, "Q2_K"),
  Q3_K_S: fileType(11, "Q3_K"),
  Q3_K_M: fileType(12, "Q3_K"),
  Q3_K_L: fileType(13, "Q3_K"),
  Q4_K_S: fileType(14, "Q4_K"),
  Q4_K_M: fileType(15, "Q4_K"),
  Q5_K_S: fileType(16, "Q5_K"),
  Q5_K_M: fileType(17, "Q5_K"),
  Q6_K: fileType(18, "Q6_K"),
  IQ2_XXS: fileType(19, "IQ2_XXS"),
  IQ2_XS: fileType(20, "IQ2_XS"),
  Q2_K_S: fileType(21, "Q2_K"),
  IQ3_XS: fileType(22, "IQ3_S"),
  IQ3_XXS: fileType(23, "IQ3_XXS"),
  IQ1_S: fileType(24, "IQ1_S"),
  IQ4_NL: fileType(25, "IQ4_NL"),
  IQ3_S: fileType(26, "IQ3_S"),
  IQ3_M: fileType(27, "IQ3_S"),
  IQ2_S: fileType(28, "IQ2_XS"),
  IQ2_M: fileType(29, "IQ2_S"),
  IQ4_XS: fileType(30, "IQ4_XS"),
  IQ1_M: fileType(31, "IQ1_M"),
  BF16: fileType(32, "BF16"),
  TQ1_0: fileType(36, "TQ1_0"),
  TQ2_0: fileType(37, "TQ2_0"),
  MXFP4_MOE: fileType(38, "MXFP4"),
  NVFP4: fileType(39, "NVFP4"),
  Q1_0: fileType(40, "Q1_0"),
  Q2_0: fileType(41, "Q2_0"),
} as const satisfies Record<string, FileTypeTraits>;

export type FileType = keyof typeof FILE_TYPES;

const ALIASES: Readonly<Record<string, FileType>> = { Q3_K: "Q3_K_M", Q4_K: "Q4_K_M", Q5_K: "Q5_K_M" };

/** The presets people publish, in order of size; none needs an imatrix. */
export const COMMON_FILE_TYPES: readonly FileType[] = [
  "Q2_K",
  "Q3_K_S",
  "Q3_K_M",
  "Q3_K_L",
  "IQ4_XS",
  "Q4_K_S",
  "Q4_K_M",
  "Q5_K_S",
  "Q5_K_M",
  "Q6_K",
  "Q8_0",
];

export const FILE_TYPE_NAMES = Object.keys(FILE_TYPES) as readonly FileType[];

/** The file type with this name in any case, aliases included (`q4_k` = Q4_K_M), or undefined. */
export function parseFileType(name: string): FileType | undefined {
  const upper = name.toUpperCase();
  if (Object.hasOwn(ALIASES, upper)) return ALIASES[upper];
  return Object.hasOwn(FILE_TYPES, upper) ? (upper as FileType) : undefined;
}
