/** Error feedback in C++: the same sums as feedback.ts, on several threads. */
import { rowBytes, TENSOR_TYPES } from "../../ggml/tensor-types.ts";
import { callAsync, type NativeLibrary, STATUS } from "../../kernels/native-library.ts";
import { checkFeedbackJob, type FeedbackJob, type FeedbackKernels } from "./feedback.ts";
import { checkFactor, checkMoments } from "./input-moments.ts";
import type { LlamaLibrary } from "./llama-library.ts";

/** Floats need no function to become floats. */
const NO_FUNCTION = 0n;

/** Calls throw an Error where the parts don't fit or memory is short. */
export function nativeFeedback(native: NativeLibrary, library: LlamaLibrary, threads: number): FeedbackKernels {
  return {
    momentsLength: native.momentsLength,
    addMoments(inputs, rows, columns, stride, sums) {
      checkMoments(inputs, rows, columns, stride, sums);
      done(native.addMoments(inputs, rows, columns, stride, threads, sums), `moments of ${columns} inputs`);
    },
    async feedbackFactor(sums, order, shrinkage, feedback, pivots) {
      checkFactor(sums, order, feedback, pivots);
      const status = await callAsync(native.feedbackFactor, [sums, order, shrinkage, threads, feedback, pivots]);
      if (status !== STATUS.noConvergence) done(status, `a factor of ${order} inputs`);
      return status === STATUS.ok;
    },
    quantize: (job, packed) => overRows(native, library, threads, job, false, packed),
    inputError: (job, packed) => overRows(native, library, threads, job, true, packed),
  };
}

async function overRows(
  native: NativeLibrary,
  library: LlamaLibrary,
  threads: number,
  job: FeedbackJob,
  measure: boolean,
  packed: Uint8Array,
): Promise<number> {
  checkFeedbackJob(library, job, packed);
  const { rows, columns } = job;
  const stored = [job.sourceType, job.type];
  const error = new Float64Array(1);
  const status = await callAsync(native.feedback, [
    library.addresses.quantizeChunk,
    ...[job.data, rows, columns, TENSOR_TYPES[job.type].blockElements],
    Int32Array.from(stored, (type) => TENSOR_TYPES[type].id),
    BigInt64Array.from(stored, (type) => BigInt(rowBytes(type, columns))),
    BigUint64Array.from(stored, (type) => library.addresses.dequantize.get(type) ?? NO_FUNCTION),
    ...[job.importance, job.feedback, job.pivots, measure ? 1 : 0, threads, packed, error],
  ]);
  done(status, `error feedback of ${rows} × ${columns} weights`);
  return error[0] as number;
}

function done(status: number, what: string): void {
  if (status !== STATUS.ok) throw new Error(`${what} ran out of memory (status ${status})`);
}
