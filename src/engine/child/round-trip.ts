/**
 * The real error of a tensor type: ggml_quantize_chunk and dequantize_row_* on given rows, compared with the original,
 * summed per band of rows. Each row is quantized by itself in ggml, so bands can be pooled freely. This is the loop in
 * TypeScript, taken where the native kernels (native-round-trip.ts) are not there.
 */
import { rowBytes, TENSOR_TYPES, type TensorType } from "../../ggml/tensor-types.ts";
import type { RoundTripJob, RoundTripResult } from "../engine.ts";
import type { LlamaLibrary } from "./llama-library.ts";

/** Weights converted at once: bounds the memory of a call at a few dozen MB. */
export const PIECE_WEIGHTS = 2 ** 21;

/** Count the rows of a job. Throws an Error where its parts don't fit together. */
export function checkJob(library: LlamaLibrary, job: RoundTripJob): { rows: number; sourceRowBytes: number } {
  const { rowElements, bandRows, importance } = job;
  for (const type of [job.sourceType, ...job.types]) {
    if (type !== "F32" && !library.dequantize.has(type)) throw new Error(`ggml has no way to read ${type} weights`);
  }
  const sourceRowBytes = rowBytes(job.sourceType, rowElements);
  const rows = job.data.byteLength / sourceRowBytes;
  if (!Number.isInteger(rows)) throw new Error(`${job.data.byteLength} bytes are not whole rows of ${sourceRowBytes}`);
  if (!Number.isSafeInteger(bandRows) || bandRows < 1) throw new Error(`bands of ${bandRows} rows; expected 1 or more`);
  if (importance !== undefined && importance.length !== rowElements) {
    throw new Error(`an importance of ${importance.length} values doesn't fit rows of ${rowElements} weights`);
  }
  return { rows, sourceRowBytes };
}

export function roundTrip(library: LlamaLibrary, job: RoundTripJob): RoundTripResult {
  const { rowElements, bandRows, types, importance } = job;
  const { rows, sourceRowBytes } = checkJob(library, job);
  const bands = Math.ceil(rows / bandRows);
  const power = new Float64Array(bands);
  const error = Object.fromEntries(types.map((type) => [type, new Float64Array(bands)])) as Partial<
    Record<TensorType, Float64Array>
  >;
  let nonFinite = 0;
  const pieceRows = Math.max(1, Math.floor(PIECE_WEIGHTS / rowElements / bandRows)) * bandRows;
  for (let row = 0; row < rows; row += pieceRows) {
    const count = Math.min(pieceRows, rows - row);
    const bytes = job.data.subarray(row * sourceRowBytes, (row + count) * sourceRowBytes);
    const original = decode(library, job.sourceType, bytes, count * rowElements);
    nonFinite += addPower(original, rowElements, importance, power, Math.floor(row / bandRows), bandRows);
    if (nonFinite > 0) continue;
    for (const type of types) {
      const restored = requantize(library, type, original, rowElements, importance);
      addError(
        original,
        restored,
        rowElements,
        importance,
        error[type] as Float64Array,
        Math.floor(row / bandRows),
        bandRows,
      );
    }
  }
  return { power, error, nonFinite };
}

/** Weights of a type as floats. */
export function decode(library: LlamaLibrary, type: TensorType, bytes: Uint8Array, elements: number): Float32Array {
  const target = new Float32Array(elements);
  if (type === "F32") {
    new Uint8Array(target.buffer).set(bytes);
    return target;
  }
  library.dequantize.get(type)?.(bytes, target, elements);
  return target;
}

/** Whole rows through a type and back. */
export function requantize(
  library: LlamaLibrary,
  type: TensorType,
  original: Float32Array,
  rowElements: number,
  importance: Float32Array | undefined,
): Float32Array {
  return decode(library, type, encode(library, type, original, rowElements, importance), original.length);
}

/** Whole rows in a type. */
export function encode(
  library: LlamaLibrary,
  type: TensorType,
  values: Float32Array,
  rowElements: number,
  importance: Float32Array | undefined,
): Uint8Array {
  const rows = values.length / rowElements;
  const packed = new Uint8Array(rowBytes(type, rowElements) * rows);
  library.quantizeChunk(TENSOR_TYPES[type].id, values, packed, 0, rows, rowElements, importance ?? null);
  return packed;
}

/** Add Σ wⱼ·x² per band; returns how many weights are not finite. */
function addPower(
  original: Float32Array,
  rowElements: number,
  importance: Float32Array | undefined,
  power: Float64Array,
  firstBand: number,
  bandRows: number,
): number {
  let nonFinite = 0;
  const rows = original.length / rowElements;
  for (let row = 0; row < rows; row++) {
    const start = row * rowElements;
    let sum = 0;
    for (let j = 0; j < rowElements; j++) {
      const x = original[start + j] as number;
      if (x - x !== 0) nonFinite++;
      else sum += importance === undefined ? x * x : (importance[j] as number) * x * x;
    }
    const band = firstBand + Math.floor(row / bandRows);
    power[band] = (power[band] as number) + sum;
  }
  return nonFinite;
}

function addError(
  original: Float32Array,
  restored: Float32Array,
  rowElements: number,
  importance: Float32Array | undefined,
  error: Float64Array,
  firstBand: number,
  bandRows: number,
): void {
  const rows = original.length / rowElements;
  for (let row = 0; row < rows; row++) {
    const start = row * rowElements;
    let sum = 0;
    for (let j = 0; j < rowElements; j++) {
      const difference = (restored[start + j] as number) - (original[start + j] as number);
      sum += importance === undefined ? difference * difference : (importance[j] as number) * difference * difference;
    }
    const band = firstBand + Math.floor(row / bandRows);
    error[band] = (error[band] as number) + sum;
  }
}
