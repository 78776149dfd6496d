/**
 * Reads float weights of a model in whole rows, or in parts of very long ones: a bounded sample spread over every tensor,
 * or all of it.
 */
import { TENSOR_TYPES } from "../ggml/tensor-types.ts";
import type { ModelFile, TensorInfo } from "../gguf/model.ts";
import { type DecodableType, isDecodable } from "../kernels/decode.ts";

export interface SampleOptions {
  /** Bytes to read over all tensors; each gives at least one row, or a part of it. Absent: everything is read. */
  readonly budgetBytes?: number | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((done: number, total: number, name: string) => void) | undefined;
}

/** Pieces a tensor's sample is taken in: its beginning, its end and between. */
const PIECES = 4;
/** Bytes read at a time. */
const PIECE_BYTES = 8 * 2 ** 20;

/** Bytes of a row beyond which it is cut into parts: four times those of the longest known. */
const LONG_ROW_BYTES = 2 ** 20;
const PART_BYTES = 2 ** 17;

/** A tensor of one of the float types that models are trained in. */
export type FloatTensor = TensorInfo & { readonly type: DecodableType };

function isFloat(tensor: TensorInfo): tensor is FloatTensor {
  return isDecodable(tensor.type);
}

/** Call `see` with pieces of each float tensor of the model, tensor by tensor. */
export async function readWeights(
  file: ModelFile,
  options: SampleOptions,
  see: (tensor: FloatTensor, data: Uint8Array) => void,
): Promise<void> {
  const tensors = file.model.tensors.filter(isFloat);
  const share = (options.budgetBytes ?? Number.POSITIVE_INFINITY) / Math.max(1, tensors.length);
  for (const [index, tensor] of tensors.entries()) {
    for (const [start, bytes] of pieces(tensor, share)) {
      options.signal?.throwIfAborted();
      see(tensor, await file.read(tensor, start, bytes));
    }
    options.onProgress?.(index + 1, tensors.length, tensor.name);
  }
}

/** Start and length of the pieces of a tensor that together have about `share` bytes. */
function pieces({ bytes, shape, type }: TensorInfo, share: number): [start: number, bytes: number][] {
  const rowBytes = (shape[0] ?? 1) * TENSOR_TYPES[type].blockBytes;
  const unit = rowBytes > LONG_ROW_BYTES ? PART_BYTES : rowBytes;
  const units = Math.ceil(bytes / unit);
  const piece = (first: number, count: number): [number, number] => [
    first * unit,
    Math.min(count * unit, bytes - first * unit),
  ];
  if (bytes <= share) {
    const step = Math.max(1, Math.floor(PIECE_BYTES / unit));
    return Array.from({ length: Math.ceil(units / step) }, (_, index) => piece(index * step, step));
  }
  const wanted = Math.max(1, Math.floor(share / unit));
  const count = Math.min(PIECES, wanted);
  const each = Math.floor(wanted / count);
  return Array.from({ length: count }, (_, index) =>
    piece(count === 1 ? 0 : Math.round((index * (units - each)) / (count - 1)), each),
  );
}
