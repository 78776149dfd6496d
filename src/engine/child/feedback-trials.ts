/** How well rows of matrices with the same inputs can be coded with error feedback: tried on inputs held out. */
import { rowBytes, type TensorType } from "../../ggml/tensor-types.ts";
import type { StoredMatrix } from "../engine.ts";
import type { FeedbackJob, FeedbackKernels } from "./feedback.ts";
import { readExactly, withFile } from "./file-pieces.ts";
import type { InputMoments } from "./moments-collector.ts";

/** Shares of the diagonal that are tried. On SmolLM2 all from .2 to .5 do about as well (docs/feedback.md). */
export const SHRINKAGES = [0.1, 0.25, 0.5] as const;

/** Inputs held out may be fewer than columns: so little makes their moments definite. */
const HELD_SHRINKAGE = 0.01;

/** Rows that trials are made on, from all over a tensor. */
const SAMPLED_ROWS = 64;

/** What says how columns make up for each other. */
export interface Factor {
  readonly feedback: Float32Array;
  readonly pivots: Float32Array;
}

/** Rows of a matrix that are to be coded. */
export interface CodedRows {
  readonly data: Uint8Array;
  readonly sourceType: TensorType;
  readonly type: TensorType;
  readonly rows: number;
  readonly columns: number;
}

/** The same, and codes that stand for them. */
export interface Trial {
  readonly coded: CodedRows;
  readonly packed: Uint8Array;
}

export interface TrialResult {
  /** Held-out error of the best feedback, divided by that of the codes that stood there; 1 where none is better. */
  readonly ratio: number;
  readonly shrinkage?: number;
}

/** Which rows of so many. */
export function sampledRows(rows: number): number[] {
  const count = Math.min(rows, SAMPLED_ROWS);
  return Array.from({ length: count }, (_, index) => Math.floor(((index + 0.5) * rows) / count));
}

/** These rows of a matrix, as they are stored. */
export async function readSourceRows(
  { from, sourceOffset, sourceType, columns }: StoredMatrix,
  rows: readonly number[],
): Promise<Omit<CodedRows, "type">> {
  const bytes = rowBytes(sourceType, columns);
  const data = new Uint8Array(rows.length * bytes);
  await withFile(from, (file) => {
    for (const [index, row] of rows.entries()) {
      data.set(readExactly(file, sourceOffset + row * bytes, bytes), index * bytes);
    }
  });
  return { data, sourceType, rows: rows.length, columns };
}

/** Undefined: the inputs don't say how columns make up for each other. */
export async function factorOf(
  kernels: FeedbackKernels,
  sums: Float32Array,
  order: number,
  shrinkage: number,
): Promise<Factor | undefined> {
  const factor = { feedback: new Float32Array(order * order), pivots: new Float32Array(order) };
  const isDefinite = await kernels.feedbackFactor(sums, order, shrinkage, factor.feedback, factor.pivots);
  return isDefinite ? factor : undefined;
}

export function feedbackJob(coded: CodedRows, { feedback, pivots }: Factor): FeedbackJob {
  // what is left of an input's power once those after it have made up for it
  return { ...coded, importance: pivots.map((pivot) => pivot * pivot), feedback, pivots };
}

/** Each trial with the share of the diagonal that is best for it. */
export async function tryFeedback(
  kernels: FeedbackKernels,
  { length, fitted, held }: InputMoments,
  trials: readonly Trial[],
): Promise<TrialResult[]> {
  if (trials.length === 0) return [];
  // one factor in memory at a time: those of wide inputs are large
  const coded: { readonly shrinkage: number; readonly packed: readonly (Uint8Array | undefined)[] }[] = [];
  for (const shrinkage of SHRINKAGES) {
    const factor = await factorOf(kernels, fitted, length, shrinkage);
    if (factor === undefined) continue;
    const packed: (Uint8Array | undefined)[] = [];
    for (const trial of trials) packed.push(await codesOf(kernels, trial, factor));
    coded.push({ shrinkage, packed });
  }
  const judge = await factorOf(kernels, held, length, HELD_SHRINKAGE);
  if (judge === undefined) return trials.map(() => ({ ratio: 1 }));
  const results: TrialResult[] = [];
  for (const [index, trial] of trials.entries()) {
    const job = feedbackJob(trial.coded, judge);
    const before = await kernels.inputError(job, trial.packed);
    let best: TrialResult = { ratio: 1 };
    for (const { shrinkage, packed } of coded) {
      const codes = packed[index];
      if (codes === undefined) continue;
      const ratio = (await kernels.inputError(job, codes)) / before;
      if (ratio < best.ratio) best = { ratio, shrinkage };
    }
    results.push(best);
  }
  return results;
}

/** Undefined: weights or scales are not finite. */
async function codesOf(
  kernels: FeedbackKernels,
  { coded, packed: { byteLength } }: Trial,
  factor: Factor,
): Promise<Uint8Array | undefined> {
  const packed = new Uint8Array(byteLength);
  return Number.isFinite(await kernels.quantize(feedbackJob(coded, factor), packed)) ? packed : undefined;
}
