/**
 * What llama-quantize sets out to convert and can't (`llama_tensor_dequantize_impl` and the main loop of
 * `llama_model_quantize_impl`, src/llama-quant.cpp, llama.cpp v0.5.0): its dry run gives such a tensor a type, the real
 * one ends there. A tensor that is to have the type it has is copied, whatever that is.
 */
import { TENSOR_TYPES, type TensorType } from "./tensor-types.ts";

/** A tensor as the source has it; where a type is chosen already (`type`), the source's is `sourceType`. */
export type StoredTensor = {
  readonly name: string;
  /** ne, innermost dimension first. */
  readonly shape: readonly number[];
} & ({ readonly sourceType: TensorType } | { readonly type: TensorType });

/** The number of dimensions without trailing ones, at least 1 (ggml_n_dims). */
export function dimensionCount(shape: readonly number[]): number {
  return Math.max(1, shape.findLastIndex((n) => n > 1) + 1);
}

/** It converts ne[1] * ne[2] rows, and aborts where there are more. */
export function isFourDimensional(shape: readonly number[]): boolean {
  return dimensionCount(shape) > 3;
}

/** Say why no other type can be made of a tensor, or return undefined where it can. */
export function inconvertibleReason(tensor: StoredTensor): string | undefined {
  if (isFourDimensional(tensor.shape)) return "four-dimensional, which llama-quantize can't convert";
  const type = storedType(tensor);
  // what ggml has no quantizer for it has no dequantizer for either
  return TENSOR_TYPES[type].target ? undefined : `${type}, which llama-quantize can't convert`;
}

/** The type a tensor has in the source. */
export function storedType(tensor: StoredTensor): TensorType {
  return "sourceType" in tensor ? tensor.sourceType : tensor.type;
}
