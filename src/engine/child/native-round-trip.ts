/**
 * The loop of round-trip.ts in C++: the same sums, with ggml's functions handed over as addresses, so that weights don't
 * pass through JavaScript. Off the main thread, which takes in the next job meanwhile.
 */
import { rowBytes, TENSOR_TYPES } from "../../ggml/tensor-types.ts";
import { callAsync, type NativeLibrary, STATUS } from "../../kernels/native-library.ts";
import type { RoundTripJob, RoundTripResult } from "../engine.ts";
import type { LlamaLibrary } from "./llama-library.ts";
import { checkJob } from "./round-trip.ts";

/** Floats need no function to become floats. */
const NO_FUNCTION = 0n;

/** Quantize, dequantize and compare. Throws an Error where the job's parts don't fit or memory is short. */
export async function nativeRoundTrip(
  native: NativeLibrary,
  library: LlamaLibrary,
  job: RoundTripJob,
): Promise<RoundTripResult> {
  const { rowElements, bandRows, types, importance } = job;
  const { rows } = checkJob(library, job);
  const bands = Math.ceil(rows / bandRows);
  const power = new Float64Array(bands);
  const errors = new Float64Array(bands * types.length);
  const nonFinite = new Float64Array(1);
  const stored = [job.sourceType, ...types];
  const status = await callAsync(native.roundTrip, [
    library.addresses.quantizeChunk,
    ...[job.data, rows, rowElements, bandRows, types.length],
    Int32Array.from(stored, (type) => TENSOR_TYPES[type].id),
    BigInt64Array.from(stored, (type) => BigInt(rowBytes(type, rowElements))),
    BigUint64Array.from(stored, (type) => library.addresses.dequantize.get(type) ?? NO_FUNCTION),
    ...[importance ?? null, power, errors, nonFinite],
  ]);
  if (status !== STATUS.ok) throw new Error(`a round trip of ${rows} rows ran out of memory (status ${status})`);
  return {
    power,
    error: Object.fromEntries(types.map((type, at) => [type, errors.slice(at * bands, (at + 1) * bands)])),
    nonFinite: nonFinite[0] as number,
  };
}
