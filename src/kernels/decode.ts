/** Stored weights → f32, for the types that store one number per weight (ggml_fp16_to_fp32, ggml_bf16_to_fp32). */
import { TENSOR_TYPES, type TensorType } from "../ggml/tensor-types.ts";

const DECODABLE = ["F32", "F16", "BF16"] as const;
export type DecodableType = (typeof DECODABLE)[number];

/** Whether `decodeRows` knows the type. */
export function isDecodable(type: TensorType): type is DecodableType {
  return (DECODABLE as readonly TensorType[]).includes(type);
}

/** Count the weights stored in bytes. Throws RangeError where the last one is cut. */
export function countWeights(type: DecodableType, bytes: Uint8Array): number {
  const count = bytes.byteLength / TENSOR_TYPES[type].blockBytes;
  if (Number.isInteger(count)) return count;
  throw new RangeError(`${bytes.byteLength} bytes are no whole number of ${type} weights`);
}

/** Decode little-endian weights, exactly. The bytes need not be aligned. */
export function decodeRows(type: DecodableType, bytes: Uint8Array): Float32Array {
  const count = countWeights(type, bytes);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const weights = new Float32Array(count);
  if (type === "F32") {
    for (let index = 0; index < count; index++) weights[index] = view.getFloat32(4 * index, true);
    return weights;
  }
  if (type === "F16") {
    const table = halfTable();
    for (let index = 0; index < count; index++) weights[index] = table[view.getUint16(2 * index, true)] as number;
    return weights;
  }
  // bf16 is the upper half of an f32
  const bits = new Uint32Array(weights.buffer);
  for (let index = 0; index < count; index++) bits[index] = view.getUint16(2 * index, true) << 16;
  return weights;
}

let halves: Float32Array | undefined;

/** All 65,536 halves: one look-up per weight is several times faster than taking the bits apart. */
function halfTable(): Float32Array {
  halves ??= Float32Array.from({ length: 1 << 16 }, (_, bits) => decodeHalf(bits));
  return halves;
}

/** One half from its bits. */
export function decodeHalf(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 0x1f;
  const fraction = bits & 0x3ff;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  if (exponent === 0x1f) return fraction === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}
