/**
 * A matrix on the GPU: stored weights go there as they are and are unpacked there, scaled by a power of two that brings
 * the largest magnitude near 1. One that is larger than a binding lies in several pieces of its rows.
 */
import type { Matrix, StoredWeights } from "../backend.ts";
import type { GpuDevice } from "./gpu-device.ts";
import type { GpuDense } from "./products.ts";
import { STORED_TYPE, SURVEY, SURVEY_WEIGHTS, UNPACK } from "./unpack-shader.ts";

export interface UploadedWeights {
  /** Weights times `scale`, 0 for those that are not finite; no piece where all are 0. */
  readonly pieces: readonly GpuDense[];
  readonly scale: number;
  readonly nonFinite: number;
}

/** A largest magnitude below this can't be scaled in 32 bits without losing the small weights. */
const LEAST_MAGNITUDE = 2 ** -100;

/** Rows of a piece at most, by the workgroups of one dimension. */
const MAX_PIECE_ROWS = 2 ** 20;

/** Upload a matrix that has weights. Throws RangeError where a row does not fit a binding or all weights are tiny. */
export async function uploadWeights(
  device: GpuDevice,
  matrix: Matrix,
  maxBindingBytes: number,
): Promise<UploadedWeights> {
  const { rows, columns } = matrix;
  const pieceRows = Math.min(MAX_PIECE_ROWS, Math.floor(maxBindingBytes / (4 * columns)));
  if (pieceRows === 0) throw new RangeError(`a row of ${columns} weights is larger than what the GPU binds at once`);
  const { type, bytes } = storedWeights(matrix);
  const weightBytes = bytes.byteLength / (rows * columns);
  const result = device.createBuffer(8);
  const stored: { readonly buffer: GPUBuffer; readonly rows: number }[] = [];
  const pieces: GpuDense[] = [];
  try {
    for (let row = 0; row < rows; row += pieceRows) {
      const own = Math.min(pieceRows, rows - row);
      const part = bytes.subarray(row * columns * weightBytes, (row + own) * columns * weightBytes);
      const buffer = device.createBuffer(part.byteLength);
      stored.push({ buffer, rows: own });
      device.write(buffer, part);
      const count = own * columns;
      const groups = Math.ceil(count / SURVEY_WEIGHTS);
      device.dispatchMany(SURVEY, [buffer, result], [count, STORED_TYPE[type], { f32: 1 }], groups);
    }
    const survey = await device.read(result, 8);
    const largest = new Float32Array(survey)[0] as number;
    const nonFinite = new Uint32Array(survey)[1] as number;
    if (largest === 0) return { pieces, scale: 1, nonFinite };
    if (largest < LEAST_MAGNITUDE) throw new RangeError(`a largest weight of ${largest} is too small for 32 bits`);
    const scale = 2 ** -Math.floor(Math.log2(largest));
    for (const { buffer, rows: own } of stored) {
      const count = own * columns;
      const unpacked = { buffer: device.createBuffer(4 * count), rows: own, columns };
      pieces.push(unpacked);
      const buffers = [buffer, unpacked.buffer];
      device.dispatchMany(UNPACK, buffers, [count, STORED_TYPE[type], { f32: scale }], Math.ceil(count / 64));
    }
    return { pieces, scale, nonFinite };
  } catch (error) {
    for (const { buffer } of pieces) buffer.destroy();
    throw error;
  } finally {
    result.destroy();
    for (const { buffer } of stored) buffer.destroy();
  }
}

/** The weights as they are stored; as f32 where that is not known. */
function storedWeights({ data, stored }: Matrix): StoredWeights {
  return stored ?? { type: "F32", bytes: new Uint8Array(data.buffer, data.byteOffset, data.byteLength) };
}
