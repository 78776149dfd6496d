/**
 * Rows in another type, as llama_model_quantize makes them: decoded, quantized by the real ggml, and checked. Each row is
 * quantized by itself in ggml, so that the rows of a tensor can be made anywhere, in any pieces.
 */
import { rowBytes, TENSOR_TYPES, type TensorType } from "../../ggml/tensor-types.ts";
import { callAsync } from "../../kernels/native-library.ts";
import type { EncodeJob } from "../engine.ts";
import type { LlamaLibrary } from "./llama-library.ts";
import { decode } from "./round-trip.ts";

export type EncodeCall = EncodeJob & { readonly threads: number };

export async function encodeRows(library: LlamaLibrary, call: EncodeCall): Promise<Uint8Array> {
  const { sourceType, type, data, importance, rowElements, threads } = call;
  const sourceRowBytes = rowBytes(sourceType, rowElements);
  const rows = data.byteLength / sourceRowBytes;
  if (!Number.isInteger(rows)) throw new Error(`${data.byteLength} bytes are not whole rows of ${sourceRowBytes}`);
  if (importance !== undefined && importance.length !== rowElements) {
    throw new Error(`an importance of ${importance.length} values doesn't fit rows of ${rowElements} weights`);
  }
  requireValid(library, sourceType, data, "the source has");
  if (type === sourceType) return data;
  if (sourceType !== "F32" && !library.dequantize.has(sourceType)) {
    throw new Error(`ggml has no way to read ${sourceType} weights`);
  }
  const ownRowBytes = rowBytes(type, rowElements);
  const packed = new Uint8Array(ownRowBytes * rows);
  const share = Math.max(1, Math.ceil(rows / threads));
  const work = Array.from({ length: Math.ceil(rows / share) }, async (_, part) => {
    const first = part * share;
    const count = Math.min(share, rows - first);
    const bytes = data.subarray(first * sourceRowBytes, (first + count) * sourceRowBytes);
    const values = decode(library, sourceType, bytes, count * rowElements);
    const target = packed.subarray(first * ownRowBytes, (first + count) * ownRowBytes);
    const { id } = TENSOR_TYPES[type];
    await callAsync(library.quantizeChunk, [id, values, target, 0, count, rowElements, importance ?? null]);
  });
  // ggml writes into `packed` until all have ended, also where one of them failed
  await Promise.allSettled(work);
  await Promise.all(work);
  requireValid(library, type, packed, "quantizing made");
  return packed;
}

function requireValid(library: LlamaLibrary, type: TensorType, data: Uint8Array, who: string): void {
  if (library.validateRows(TENSOR_TYPES[type].id, data, data.byteLength)) return;
  throw new Error(`${who} ${type} data that is not finite or not valid`);
}
