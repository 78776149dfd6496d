/**
 * The native kernels as the engine's child uses them: for round trips, for the reductions of logits and for error
 * feedback, once they agree with their TypeScript on this machine.
 */
import koffi from "koffi";
import { rowBytes } from "../../ggml/tensor-types.ts";
import { type NativeLibrary, openLibrary } from "../../kernels/native-library.ts";
import { createNormal, createRandom } from "../../random.ts";
import type { RoundTripJob, RoundTripResult } from "../engine.ts";
import { drawTokens, nativeTokenDrawer } from "./draw-tokens.ts";
import { type FeedbackJob, type FeedbackKernels, typescriptFeedback } from "./feedback.ts";
import type { LlamaLibrary } from "./llama-library.ts";
import { recordLength } from "./log-softmax.ts";
import { nativeFeedback } from "./native-feedback.ts";
import { nativeRoundTrip } from "./native-round-trip.ts";
import { nativeScoreRows } from "./native-score-rows.ts";
import { roundTrip } from "./round-trip.ts";
import { type ScoreTask, scoreRows } from "./score-rows.ts";

/** Relative difference that is no fault: sums of 64-bit numbers in another order. */
const TOLERANCE = 1e-9;

/** Of factors in 32 bits, and of the error of codes that they lead to. */
const FACTOR_TOLERANCE = 1e-4;
const CODES_TOLERANCE = 0.2;

/** Odd sizes, so that the remainders of every loop run. */
const ROWS = 5;
const ROW_ELEMENTS = 96;
const INPUT_ROWS = 41;
const VOCABULARY = 131;
const DRAWN_ROWS = 12;
const DRAWN_VOCABULARY = 2500;

/** The library, or why it can't be used. */
export async function openEngineKernels(library: LlamaLibrary): Promise<NativeLibrary | string> {
  const native = openLibrary();
  if (typeof native === "string") return native;
  const wrong = await disagreement(native, library);
  if (wrong === undefined) return native;
  return `the native kernels' ${wrong} differ from TypeScript's on this machine; report this with the processor's name`;
}

async function disagreement(native: NativeLibrary, library: LlamaLibrary): Promise<string | undefined> {
  if (!(await roundTripsAgree(native, library))) return "round trips";
  if (!scoresAgree(native)) return "scores";
  if (!drawsAgree(native)) return "draws";
  return (await feedbackAgrees(native, library)) ? undefined : "error feedback";
}

async function roundTripsAgree(native: NativeLibrary, library: LlamaLibrary): Promise<boolean> {
  const random = createRandom(1);
  // Halves between 2^-3 and 2.
  const halves = Uint16Array.from({ length: ROWS * ROW_ELEMENTS }, () => 0x3000 + Math.floor(random() * 0x1000));
  const job: RoundTripJob = {
    sourceType: "F16",
    rowElements: ROW_ELEMENTS,
    data: new Uint8Array(halves.buffer),
    bandRows: 2,
    types: ["Q8_0", "Q4_0", "BF16"],
    importance: Float32Array.from({ length: ROW_ELEMENTS }, () => 0.5 + random()),
  };
  const expected = roundTrip(library, job);
  const found = await nativeRoundTrip(native, library, job);
  return areClose(sums(found), sums(expected));
}

function sums({ power, error, nonFinite }: RoundTripResult): number[] {
  return [nonFinite, ...power, ...Object.values(error).flatMap((values) => [...(values ?? [])])];
}

/** Tokens of blocks of several sizes, and rows that nothing can be drawn from. */
function drawsAgree(native: NativeLibrary): boolean {
  const random = createRandom(3);
  const normal = createNormal(random);
  const logits = Float32Array.from({ length: DRAWN_ROWS * DRAWN_VOCABULARY }, () => 6 * normal());
  logits[5] = Number.NaN;
  logits[DRAWN_VOCABULARY + 2000] = Number.POSITIVE_INFINITY;
  logits.fill(Number.NEGATIVE_INFINITY, 2 * DRAWN_VOCABULARY, 2 * DRAWN_VOCABULARY + 1500);
  const uniforms = Float64Array.from({ length: DRAWN_ROWS }, () => random());
  uniforms.set([0, 1 - Number.EPSILON / 2], 3);
  const pointer = koffi.address(logits);
  const expected = drawTokens(pointer, DRAWN_VOCABULARY, uniforms);
  const found = nativeTokenDrawer(native, 2)(pointer, DRAWN_VOCABULARY, uniforms);
  return found.every((token, row) => token === expected[row]);
}

/** A factor, and codes that TypeScript finds as good as C++ says and about as good as its own. */
async function feedbackAgrees(native: NativeLibrary, library: LlamaLibrary): Promise<boolean> {
  const normal = createNormal(createRandom(4));
  const inputs = Float32Array.from({ length: INPUT_ROWS * ROW_ELEMENTS }, normal);
  for (let at = 1; at < inputs.length; at++) inputs[at] = (inputs[at] as number) + 0.9 * (inputs[at - 1] as number);
  const given = {
    data: new Uint8Array(Float32Array.from({ length: ROWS * ROW_ELEMENTS }, normal).buffer),
    sourceType: "F32",
    type: "IQ4_NL",
    rows: ROWS,
    columns: ROW_ELEMENTS,
    importance: new Float32Array(ROW_ELEMENTS).fill(1),
  } as const;
  const job = async (kernels: FeedbackKernels): Promise<FeedbackJob> => {
    const sums = new Float32Array(kernels.momentsLength(ROW_ELEMENTS));
    kernels.addMoments(inputs, INPUT_ROWS, ROW_ELEMENTS, ROW_ELEMENTS, sums);
    const factor = { feedback: new Float32Array(ROW_ELEMENTS ** 2), pivots: new Float32Array(ROW_ELEMENTS) };
    await kernels.feedbackFactor(sums, ROW_ELEMENTS, 0.1, factor.feedback, factor.pivots);
    return { ...given, ...factor };
  };
  const [plain, fast] = [typescriptFeedback(library), nativeFeedback(native, library, 2)];
  const [expectedJob, foundJob] = [await job(plain), await job(fast)];
  const packed = new Uint8Array(ROWS * rowBytes(given.type, ROW_ELEMENTS));
  const expected = await plain.quantize(expectedJob, packed);
  const found = await fast.quantize(foundJob, packed);
  const measured = [await fast.inputError(foundJob, packed), await plain.inputError(expectedJob, packed)];
  return (
    areClose(foundJob.feedback, expectedJob.feedback, FACTOR_TOLERANCE, 1) &&
    areClose(foundJob.pivots, expectedJob.pivots, FACTOR_TOLERANCE) &&
    areClose(measured, [found, found], FACTOR_TOLERANCE) &&
    // a code on the edge falls either way
    areClose([found], [expected], CODES_TOLERANCE)
  );
}

function scoresAgree(native: NativeLibrary): boolean {
  const normal = createNormal(createRandom(2));
  const logits = Float32Array.from({ length: ROWS * VOCABULARY }, () => 6 * normal());
  const scored = ROWS - 1;
  const run = (score: (task: ScoreTask) => void) => {
    const task = {
      logits: koffi.address(logits),
      vocabSize: VOCABULARY,
      sequences: 1,
      rowsPerSequence: ROWS,
      scoredPerSequence: scored,
      targets: Int32Array.from({ length: scored }, (_, row) => 31 * row),
      nll: new Float64Array(scored),
      referenceNll: new Float64Array(scored),
      kld: new Float64Array(scored),
      sameTop: new Uint8Array(scored),
      records: new Uint16Array(scored * recordLength(VOCABULARY)),
    };
    score({ ...task, mode: "encode" });
    // Compared with the next row's record, so that they differ.
    const records = task.records.slice();
    task.records.copyWithin(0, recordLength(VOCABULARY));
    score({ ...task, mode: "compare" });
    return { records, scores: [...task.nll, ...task.referenceNll, ...task.kld, ...task.sameTop] };
  };
  const expected = run((task) => scoreRows(task, 0, 1));
  const found = run((task) => nativeScoreRows(native, task, 1));
  return found.records.every((value, at) => value === expected.records[at]) && areClose(found.scores, expected.scores);
}

function areClose(found: ArrayLike<number>, expected: ArrayLike<number>, tolerance = TOLERANCE, least = 0): boolean {
  return Array.from(found).every((value, at) => {
    const right = expected[at] ?? Number.NaN;
    return Math.abs(value - right) <= tolerance * Math.max(Math.abs(right), least);
  });
}
