/**
 * The native kernels as the engine's child uses them: for round trips and for the reductions of logits, once they agree
 * with their TypeScript on this machine.
 */
import koffi from "koffi";
import { type NativeLibrary, openLibrary } from "../../kernels/native-library.ts";
import { createNormal, createRandom } from "../../random.ts";
import type { RoundTripJob, RoundTripResult } from "../engine.ts";
import { drawTokens, nativeTokenDrawer } from "./draw-tokens.ts";
import type { LlamaLibrary } from "./llama-library.ts";
import { recordLength } from "./log-softmax.ts";
import { nativeRoundTrip } from "./native-round-trip.ts";
import { nativeScoreRows } from "./native-score-rows.ts";
import { roundTrip } from "./round-trip.ts";
import { type ScoreTask, scoreRows } from "./score-rows.ts";

/** Relative difference that is no fault: sums of 64-bit numbers in another order. */
const TOLERANCE = 1e-9;

/** Odd sizes, so that the remainders of every loop run. */
const ROWS = 5;
const ROW_ELEMENTS = 96;
const VOCABULARY = 131;
const DRAWN_ROWS = 12;
const DRAWN_VOCABULARY = 2500;

/** The library, or why it can't be used. */
export async function openEngineKernels(library: LlamaLibrary): Promise<NativeLibrary | string> {
  const native = openLibrary();
  if (typeof native === "string") return native;
  const wrong = (await roundTripsAgree(native, library)) ? disagreement(native) : "round trips";
  if (wrong === undefined) return native;
  return `the native kernels' ${wrong} differ from TypeScript's on this machine; report this with the processor's name`;
}

function disagreement(native: NativeLibrary): string | undefined {
  if (!scoresAgree(native)) return "scores";
  return drawsAgree(native) ? undefined : "draws";
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

function areClose(found: readonly number[], expected: readonly number[]): boolean {
  return found.every((value, at) => {
    const right = expected[at] ?? Number.NaN;
    return Math.abs(value - right) <= TOLERANCE * Math.abs(right);
  });
}
