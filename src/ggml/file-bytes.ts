/** The exact size of the file that llama-quantize writes: header, then each tensor, each part padded. */
import { elementCount, type TensorType, tensorBytes } from "./tensor-types.ts";

/** llama-quantize pads to this whatever `general.alignment` says (GGUF_DEFAULT_ALIGNMENT, bytes). */
export const OUTPUT_ALIGNMENT_BYTES = 32;

export interface SizedTensor {
  readonly type: TensorType;
  /** ne, innermost dimension first. */
  readonly shape: readonly number[];
}

/** Bytes rounded up to a multiple of `alignment`. */
export function paddedBytes(bytes: number, alignment = OUTPUT_ALIGNMENT_BYTES): number {
  return Math.ceil(bytes / alignment) * alignment;
}

/** Bytes of the file with a header of `headerBytes` (without its padding) and these tensors. */
export function fileBytes(headerBytes: number, tensors: Iterable<SizedTensor>): number {
  let bytes = paddedBytes(headerBytes);
  for (const { type, shape } of tensors) bytes += paddedBytes(tensorBytes(type, shape));
  return bytes;
}

/** Bytes of the data of all tensors, without padding. */
export function tensorBytesTotal(tensors: Iterable<SizedTensor>): number {
  let bytes = 0;
  for (const { type, shape } of tensors) bytes += tensorBytes(type, shape);
  return bytes;
}

/** Bits per weight over all tensors, ineligible ones included, as llama.cpp prints it; 0 without tensors. */
export function bpw(tensors: Iterable<SizedTensor>): number {
  let bytes = 0;
  let elements = 0;
  for (const { type, shape } of tensors) {
    bytes += tensorBytes(type, shape);
    elements += elementCount(shape);
  }
  return elements === 0 ? 0 : (8 * bytes) / elements;
}
