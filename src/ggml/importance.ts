/**
 * Where a quantization can't do without importance values (an imatrix entry for the tensor).
 * Follows `tensor_requires_imatrix` (src/llama-quant.cpp) and `ggml_quantize_requires_imatrix` (ggml.c), v0.5.0.
 */
import type { FileType } from "./file-types.ts";
import { TENSOR_TYPES, type TensorType } from "./tensor-types.ts";

/** Tensors an imatrix never has entries for; llama-quantize lets them pass without. */
const NEVER_REQUIRED: ReadonlySet<string> = new Set([
  "token_embd.weight",
  "per_layer_token_embd.weight",
  "output.weight",
]);

/** Types whose quantizer in ggml aborts the process without importance values, whatever the tensor. */
const ASSERTED: ReadonlySet<TensorType> = new Set<TensorType>(["IQ2_XXS", "IQ2_XS", "IQ1_S"]);

/** Whether llama-quantize refuses to store this tensor in `type` without importance values in a file of `fileType`. */
export function requiresImatrix(type: TensorType, tensorName: string, fileType: FileType): boolean {
  if (NEVER_REQUIRED.has(tensorName)) return false;
  if (type === "Q2_K") return fileType === "Q2_K_S";
  return TENSOR_TYPES[type].importance === "required";
}

/** Whether storing this tensor in `type` fails without importance values: refused by llama-quantize, or an abort in ggml. */
export function needsImportance(type: TensorType, tensorName: string, fileType: FileType): boolean {
  return requiresImatrix(type, tensorName, fileType) || ASSERTED.has(type);
}
