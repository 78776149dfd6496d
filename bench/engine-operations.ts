/**
 * What the engine's child computes in C++, as bench/kernels.ts times it: round trips, the reductions of logits and error
 * feedback.
 */
import koffi from "koffi";
import { drawTokens, nativeTokenDrawer } from "../src/engine/child/draw-tokens.ts";
import { type FeedbackJob, type FeedbackKernels, typescriptFeedback } from "../src/engine/child/feedback.ts";
import { momentAt } from "../src/engine/child/input-moments.ts";
import { openLlamaLibrary } from "../src/engine/child/llama-library.ts";
import { recordLength } from "../src/engine/child/log-softmax.ts";
import { nativeFeedback } from "../src/engine/child/native-feedback.ts";
import { nativeRoundTrip } from "../src/engine/child/native-round-trip.ts";
import { nativeScoreRows } from "../src/engine/child/native-score-rows.ts";
import { roundTrip } from "../src/engine/child/round-trip.ts";
import { type ScoreTask, scoreRows } from "../src/engine/child/score-rows.ts";
import type { RoundTripResult } from "../src/engine/engine.ts";
import { findEnginePackage } from "../src/engine/package.ts";
import { rowBytes, TENSOR_TYPES, type TensorType } from "../src/ggml/tensor-types.ts";
import type { NativeLibrary } from "../src/kernels/native-library.ts";
import { gaussian } from "../test/kernels/matrices.ts";
import type { Operation } from "./backend-operations.ts";
import { fastest, type Limits } from "./limits.ts";

const COLUMNS = 4096;
const ROWS = 64;
/** Qwen3's. */
const VOCABULARY = 151_936;
const SCORED = 16;
/** Inputs of a weight, and rows of them. */
const INPUTS = 1024;
const TOKENS = 256;

/** Floating-point operations of a logit: exp(x) with its eleven terms, the subtraction before and the sum after. */
const NLL_FLOPS = 30;
/** Those, exp of the reference and p·(ln p − ln q). */
const COMPARE_FLOPS = NLL_FLOPS + 34;

/** Round trips of one thread; ggml's own functions on the same rows are their limit. */
export async function roundTripOperations(native: NativeLibrary): Promise<Operation[]> {
  const llama = openLlamaLibrary(findEnginePackage());
  const weights = gaussian(ROWS, COLUMNS).data;
  const data = new Uint8Array(weights.buffer);
  const operations: Operation[] = [];
  for (const type of ["Q8_0", "Q6_K", "Q4_K"] as const) {
    const job = { sourceType: "F32", rowElements: COLUMNS, data, bandRows: 8, types: [type] } as const;
    const sums = (result: RoundTripResult) => [...result.power, ...(result.error[type] ?? [])];
    operations.push({
      name: `round trip ${type}, ${ROWS} × ${COLUMNS}`,
      elements: weights.length,
      native: async () => sums(await nativeRoundTrip(native, llama, job)),
      reference: () => sums(roundTrip(llama, job)),
      limit: { name: "ggml alone", seconds: await ggmlSeconds(llama, type, weights) },
    });
  }
  return operations;
}

function ggmlSeconds(llama: ReturnType<typeof openLlamaLibrary>, type: TensorType, weights: Float32Array) {
  const packed = new Uint8Array(rowBytes(type, COLUMNS));
  const restored = new Float32Array(COLUMNS);
  return fastest(() => {
    for (let row = 0; row < ROWS; row++) {
      const original = weights.subarray(row * COLUMNS, (row + 1) * COLUMNS);
      llama.quantizeChunk(TENSOR_TYPES[type].id, original, packed, 0, 1, COLUMNS, null);
      llama.dequantize.get(type)?.(packed, restored, COLUMNS);
    }
  });
}

/** The three ways rows of logits are reduced, and tokens drawn from them. */
export function logitsOperations(native: NativeLibrary, { flopsPerSecond }: Limits, threads: number): Operation[] {
  const logits = gaussian(SCORED + 1, VOCABULARY).data.map((x) => 3 * x);
  const elements = SCORED * VOCABULARY;
  const uniforms = Float64Array.from({ length: SCORED }, (_, row) => (row + 0.5) / SCORED);
  const task = (mode: ScoreTask["mode"]) => ({
    mode,
    logits: koffi.address(logits),
    vocabSize: VOCABULARY,
    sequences: 1,
    rowsPerSequence: SCORED + 1,
    scoredPerSequence: SCORED,
    targets: Int32Array.from({ length: SCORED }, (_, row) => row * 9001),
    nll: new Float64Array(SCORED),
    referenceNll: new Float64Array(SCORED),
    kld: new Float64Array(SCORED),
    sameTop: new Uint8Array(SCORED),
    records: new Uint16Array(SCORED * recordLength(VOCABULARY)),
  });
  const encoded = task("encode");
  scoreRows(encoded, 0, 1);
  // Compared with the next row's record.
  const records = encoded.records.slice();
  records.copyWithin(0, recordLength(VOCABULARY));
  const operation = (mode: ScoreTask["mode"], name: string, flops: number): Operation => {
    const run = (score: (task: ScoreTask) => void) => () => {
      const given = { ...task(mode), ...(mode === "compare" ? { records } : {}) };
      score(given);
      return mode === "compare" ? [...given.nll, ...given.kld] : given.nll;
    };
    return {
      name: `${name}, ${SCORED} rows of ${VOCABULARY} logits`,
      elements,
      native: run((given) => nativeScoreRows(native, given, threads)),
      reference: run((given) => scoreRows(given, 0, 1)),
      limit: { name: "peak FLOP/s", seconds: (elements * flops) / flopsPerSecond },
    };
  };
  return [
    operation("nll", "perplexity", NLL_FLOPS),
    operation("encode", "logits records", NLL_FLOPS),
    operation("compare", "KL divergence", COMPARE_FLOPS),
    {
      name: `draw a token, ${SCORED} rows of ${VOCABULARY} logits`,
      elements,
      native: () => nativeTokenDrawer(native, threads)(koffi.address(logits), VOCABULARY, uniforms),
      reference: () => drawTokens(koffi.address(logits), VOCABULARY, uniforms),
      limit: { name: "peak FLOP/s", seconds: (elements * NLL_FLOPS) / flopsPerSecond },
    },
  ];
}

/** Second moments, their factor, and codes chosen with it. */
export async function feedbackOperations(
  native: NativeLibrary,
  { flopsPerSecond }: Limits,
  threads: number,
): Promise<Operation[]> {
  const llama = openLlamaLibrary(findEnginePackage());
  const [fast, plain] = [nativeFeedback(native, llama, threads), typescriptFeedback(llama)];
  const inputs = gaussian(TOKENS, INPUTS).data;
  const sums = new Float32Array(fast.momentsLength(INPUTS));
  fast.addMoments(inputs, TOKENS, INPUTS, INPUTS, sums);
  const factor = { feedback: new Float32Array(INPUTS ** 2), pivots: new Float32Array(INPUTS) };
  await fast.feedbackFactor(sums, INPUTS, 0.2, factor.feedback, factor.pivots);
  const weights = gaussian(ROWS, INPUTS).data;
  const job = (type: TensorType): FeedbackJob => ({
    ...{ data: new Uint8Array(weights.buffer), sourceType: "F32", type, rows: ROWS, columns: INPUTS },
    ...{ importance: new Float32Array(INPUTS).fill(1), ...factor },
  });
  // 32-bit vectors hold twice as many numbers as those the peak was measured with.
  const peak = (flops: number) => ({ name: "peak FLOP/s in 32 bits", seconds: flops / (2 * flopsPerSecond) });
  const added = (kernels: FeedbackKernels) => () => {
    const empty = new Float32Array(sums.length);
    kernels.addMoments(inputs, TOKENS, INPUTS, INPUTS, empty);
    return Float64Array.from({ length: INPUTS }, (_, j) => momentAt(empty, INPUTS, j, j));
  };
  const factored = (kernels: FeedbackKernels) => async () => {
    const found = { feedback: new Float32Array(INPUTS ** 2), pivots: new Float32Array(INPUTS) };
    await kernels.feedbackFactor(sums, INPUTS, 0.2, found.feedback, found.pivots);
    return found.pivots;
  };
  const quantized = (kernels: FeedbackKernels, type: TensorType) => async () => [
    await kernels.quantize(job(type), new Uint8Array(ROWS * rowBytes(type, INPUTS))),
  ];
  return [
    {
      name: `moments of ${TOKENS} × ${INPUTS} inputs`,
      elements: inputs.length,
      native: added(fast),
      reference: added(plain),
      limit: peak(TOKENS * INPUTS ** 2),
    },
    {
      name: `factor of ${INPUTS} inputs`,
      elements: INPUTS ** 2,
      native: factored(fast),
      reference: factored(plain),
      limit: peak(INPUTS ** 3 / 3),
    },
    ...(["Q4_K", "IQ4_NL", "IQ3_S"] as const).map((type) => ({
      name: `error feedback ${type}, ${ROWS} × ${INPUTS}`,
      elements: weights.length,
      native: quantized(fast, type),
      reference: quantized(plain, type),
      limit: peak(ROWS * INPUTS ** 2),
    })),
  ];
}
