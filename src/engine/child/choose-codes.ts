/**
 * The codes of a quantized file's tensors, chosen anew with error feedback and written into their places. How far Σ is
 * shrunk, and whether feedback pays at all, is decided for each tensor on inputs it was not calibrated on.
 */
import { closeSync, openSync } from "node:fs";
import { rowBytes } from "../../ggml/tensor-types.ts";
import type { ChosenCodes, CodedTensor } from "../engine.ts";
import type { FeedbackJob, FeedbackKernels } from "./feedback.ts";
import { readExactly, writeExactly } from "./file-pieces.ts";
import type { InputMoments, MomentsCollector } from "./moments-collector.ts";

/** Shares of the diagonal that are tried. On SmolLM2 all from .2 to .5 do about as well (docs/feedback.md). */
const SHRINKAGES = [0.1, 0.25, 0.5] as const;

/** Inputs held out may be fewer than columns: so little makes their moments definite. */
const HELD_SHRINKAGE = 0.01;

/** Rows that the choice is made on, from all over a tensor. */
const SAMPLED_ROWS = 64;

/** Weights in memory at once. */
const PIECE_WEIGHTS = 2 ** 24;

export interface CodesCall {
  readonly output: string;
  readonly tensors: readonly CodedTensor[];
}

/** Throws an Error where a file ends early or memory is short. `onTensor` counts tensors. */
export async function chooseCodes(
  kernels: FeedbackKernels,
  collector: MomentsCollector,
  { output, tensors }: CodesCall,
  onTensor: (done: number) => void,
): Promise<ChosenCodes[]> {
  const target = openSync(output, "r+");
  try {
    const groups = new Map<string, CodedTensor[]>();
    for (const tensor of tensors) {
      const key = collector.keyOf(tensor.name, tensor.expert);
      if (key === undefined) throw new Error(`the inputs of ${tensor.name} were not collected`);
      groups.set(key, [...(groups.get(key) ?? []), tensor]);
    }
    const chosen: ChosenCodes[] = [];
    for (const [key, group] of groups) {
      const moments = collector.momentsOf(key);
      const codes =
        moments === undefined
          ? group.map(({ name }) => ({ name, ratio: 1 }))
          : await new GroupOfTensors(kernels, moments, target).choose(group);
      chosen.push(...codes);
      onTensor(chosen.length);
    }
    return chosen;
  } finally {
    closeSync(target);
  }
}

/** What says how columns make up for each other. */
interface Factor {
  readonly feedback: Float32Array;
  readonly pivots: Float32Array;
}

interface Sample {
  readonly tensor: CodedTensor;
  readonly source: Uint8Array;
  readonly rows: number;
  /** Error of the codes that stand there, under the held-out inputs. */
  readonly before: number;
}

/** Matrices that have the same inputs. */
class GroupOfTensors {
  readonly #kernels: FeedbackKernels;
  readonly #moments: InputMoments;
  readonly #target: number;

  constructor(kernels: FeedbackKernels, moments: InputMoments, target: number) {
    this.#kernels = kernels;
    this.#moments = moments;
    this.#target = target;
  }

  async choose(tensors: readonly CodedTensor[]): Promise<ChosenCodes[]> {
    const { fitted, held } = this.#moments;
    const best = tensors.map(({ name }): ChosenCodes => ({ name, ratio: 1 }));
    const judge = await this.#factor(held, HELD_SHRINKAGE);
    if (judge === undefined) return best;
    const samples: Sample[] = [];
    for (const tensor of tensors) samples.push(await this.#sample(tensor, judge));
    for (const shrinkage of SHRINKAGES) {
      const factor = await this.#factor(fitted, shrinkage);
      if (factor === undefined) continue;
      for (const [index, { tensor, source, rows, before }] of samples.entries()) {
        const packed = await this.#quantize(tensor, source, rows, factor);
        const after = await this.#kernels.inputError(jobOf(tensor, source, rows, judge), packed);
        const ratio = after / before;
        if (ratio < (best[index] as ChosenCodes).ratio) best[index] = { name: tensor.name, ratio, shrinkage };
      }
    }
    for (let at = 0; at < fitted.length; at++) fitted[at] = (fitted[at] as number) + (held[at] as number);
    for (const shrinkage of SHRINKAGES) {
      const taken = tensors.filter((_, index) => best[index]?.shrinkage === shrinkage);
      const factor = taken.length === 0 ? undefined : await this.#factor(fitted, shrinkage);
      for (const tensor of factor === undefined ? [] : taken) await this.#write(tensor, factor as Factor);
    }
    return best;
  }

  async #factor(moments: Float32Array, shrinkage: number): Promise<Factor | undefined> {
    const { length } = this.#moments;
    const factor = { feedback: new Float32Array(length * length), pivots: new Float32Array(length) };
    const isDefinite = await this.#kernels.feedbackFactor(moments, length, shrinkage, factor.feedback, factor.pivots);
    return isDefinite ? factor : undefined;
  }

  /** Rows from all over the tensor, and how well they are coded. */
  async #sample(tensor: CodedTensor, judge: Factor): Promise<Sample> {
    const rows = Math.min(tensor.rows, SAMPLED_ROWS);
    const at = Array.from({ length: rows }, (_, index) => Math.floor(((index + 0.5) * tensor.rows) / rows));
    const [sourceRow, row] = [rowBytes(tensor.sourceType, tensor.columns), rowBytes(tensor.type, tensor.columns)];
    const source = new Uint8Array(rows * sourceRow);
    const packed = new Uint8Array(rows * row);
    await withFile(tensor.from, (file) => {
      at.forEach((from, index) => {
        source.set(readExactly(file, tensor.sourceOffset + from * sourceRow, sourceRow), index * sourceRow);
        packed.set(readExactly(this.#target, tensor.offset + from * row, row), index * row);
      });
    });
    return { tensor, source, rows, before: await this.#kernels.inputError(jobOf(tensor, source, rows, judge), packed) };
  }

  #write(tensor: CodedTensor, factor: Factor): Promise<void> {
    const pieceRows = Math.max(1, Math.floor(PIECE_WEIGHTS / tensor.columns));
    const [sourceRow, row] = [rowBytes(tensor.sourceType, tensor.columns), rowBytes(tensor.type, tensor.columns)];
    return withFile(tensor.from, async (file) => {
      for (let first = 0; first < tensor.rows; first += pieceRows) {
        const rows = Math.min(pieceRows, tensor.rows - first);
        const source = readExactly(file, tensor.sourceOffset + first * sourceRow, rows * sourceRow);
        writeExactly(this.#target, tensor.offset + first * row, await this.#quantize(tensor, source, rows, factor));
      }
    });
  }

  /** Throws an Error for weights that are not finite. */
  async #quantize(tensor: CodedTensor, source: Uint8Array, rows: number, factor: Factor): Promise<Uint8Array> {
    const packed = new Uint8Array(rows * rowBytes(tensor.type, tensor.columns));
    const error = await this.#kernels.quantize(jobOf(tensor, source, rows, factor), packed);
    if (Number.isFinite(error)) return packed;
    throw new Error(`${tensor.name} has weights that are NaN or infinite; convert the model again`);
  }
}

function jobOf(
  { type, sourceType, columns }: CodedTensor,
  data: Uint8Array,
  rows: number,
  { feedback, pivots }: Factor,
): FeedbackJob {
  // what is left of an input's power once those after it have made up for it
  const importance = pivots.map((pivot) => pivot * pivot);
  return { data, sourceType, type, rows, columns, importance, feedback, pivots };
}

async function withFile(path: string, work: (file: number) => void | Promise<void>): Promise<void> {
  const file = openSync(path, "r");
  try {
    await work(file);
  } finally {
    closeSync(file);
  }
}
