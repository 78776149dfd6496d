/**
 * The codes of a quantized file's tensors, chosen anew with error feedback and written into their places. How far Σ is
 * shrunk, and whether feedback pays at all, is decided for each tensor on inputs it was not calibrated on.
 */
import { closeSync, openSync } from "node:fs";
import { rowBytes } from "../../ggml/tensor-types.ts";
import type { ChosenCodes, CodedTensor, CodesFolder } from "../engine.ts";
import type { FeedbackJob, FeedbackKernels } from "./feedback.ts";
import { readExactly, writeExactly } from "./file-pieces.ts";
import { KeptCodes } from "./kept-codes.ts";
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
  /** See LoadedModel.chooseCodes(). */
  readonly kept?: CodesFolder | undefined;
}

/** Throws an Error where a file ends early or memory is short. `onTensor` counts tensors. */
export async function chooseCodes(
  kernels: FeedbackKernels,
  collector: MomentsCollector,
  { output, tensors, kept }: CodesCall,
  onTensor: (done: number) => void,
  note: (text: string) => void,
): Promise<ChosenCodes[]> {
  const store = kept === undefined ? undefined : new KeptCodes(kept, note);
  await store?.begin();
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
          : await new GroupOfTensors(kernels, moments, target, store).choose(group);
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

/** By how far Σ is shrunk; undefined where it can't be factorized. */
type Factors = (shrinkage: number) => Promise<Factor | undefined>;

interface Sample {
  readonly tensor: CodedTensor;
  readonly source: Uint8Array;
  /** The codes that stand there. */
  readonly packed: Uint8Array;
  readonly rows: number;
}

/** Matrices that have the same inputs. */
class GroupOfTensors {
  readonly #kernels: FeedbackKernels;
  readonly #moments: InputMoments;
  readonly #target: number;
  readonly #kept: KeptCodes | undefined;

  constructor(kernels: FeedbackKernels, moments: InputMoments, target: number, kept: KeptCodes | undefined) {
    this.#kernels = kernels;
    this.#moments = moments;
    this.#target = target;
    this.#kept = kept;
  }

  async choose(tensors: readonly CodedTensor[]): Promise<ChosenCodes[]> {
    const known = new Map<CodedTensor, ChosenCodes>();
    const open: Sample[] = [];
    for (const tensor of tensors) {
      const sample = await this.#sample(tensor);
      const choice = await this.#kept?.choice(tensor, sample.packed);
      if (choice === undefined) open.push(sample);
      else known.set(tensor, choice);
    }
    for (const [index, choice] of (open.length === 0 ? [] : await this.#judge(open)).entries()) {
      const { tensor, packed } = open[index] as Sample;
      known.set(tensor, choice);
      await this.#kept?.keepChoice(tensor, packed, choice);
    }
    const factors = this.#factorsOfAll();
    for (const shrinkage of SHRINKAGES) {
      for (const tensor of tensors) {
        if (known.get(tensor)?.shrinkage === shrinkage) await this.#write(tensor, shrinkage, factors);
      }
    }
    return tensors.map((tensor) => known.get(tensor) as ChosenCodes);
  }

  /** On inputs that were held out. */
  async #judge(samples: readonly Sample[]): Promise<ChosenCodes[]> {
    const { fitted, held } = this.#moments;
    const best = samples.map(({ tensor: { name } }): ChosenCodes => ({ name, ratio: 1 }));
    const judge = await this.#factor(held, HELD_SHRINKAGE);
    if (judge === undefined) return best;
    const errorOf = ({ tensor, source, rows }: Sample, packed: Uint8Array) =>
      this.#kernels.inputError(jobOf(tensor, source, rows, judge), packed);
    const before: number[] = [];
    for (const sample of samples) before.push(await errorOf(sample, sample.packed));
    for (const shrinkage of SHRINKAGES) {
      const factor = await this.#factor(fitted, shrinkage);
      if (factor === undefined) continue;
      for (const [index, sample] of samples.entries()) {
        const { tensor, source, rows } = sample;
        const after = await errorOf(sample, await this.#quantize(tensor, source, rows, factor));
        const ratio = after / (before[index] as number);
        if (ratio < (best[index] as ChosenCodes).ratio) best[index] = { name: tensor.name, ratio, shrinkage };
      }
    }
    return best;
  }

  /** Factors of all inputs, those held out too, each made when it is first asked for and there until the next is. */
  #factorsOfAll(): Factors {
    const { fitted, held } = this.#moments;
    let all: Float32Array | undefined;
    let made: { shrinkage: number; factor: Factor | undefined } | undefined;
    return async (shrinkage) => {
      // not in place: sums are used again
      all ??= fitted.map((sum, at) => sum + (held[at] as number));
      if (made?.shrinkage !== shrinkage) {
        made = undefined;
        made = { shrinkage, factor: await this.#factor(all, shrinkage) };
      }
      return made.factor;
    };
  }

  async #factor(moments: Float32Array, shrinkage: number): Promise<Factor | undefined> {
    const { length } = this.#moments;
    const factor = { feedback: new Float32Array(length * length), pivots: new Float32Array(length) };
    const isDefinite = await this.#kernels.feedbackFactor(moments, length, shrinkage, factor.feedback, factor.pivots);
    return isDefinite ? factor : undefined;
  }

  /** Rows from all over the tensor, and how they are coded. */
  async #sample(tensor: CodedTensor): Promise<Sample> {
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
    return { tensor, source, packed, rows };
  }

  async #write(tensor: CodedTensor, shrinkage: number, factors: Factors): Promise<void> {
    const pieceRows = Math.max(1, Math.floor(PIECE_WEIGHTS / tensor.columns));
    const [sourceRow, row] = [rowBytes(tensor.sourceType, tensor.columns), rowBytes(tensor.type, tensor.columns)];
    await withFile(tensor.from, async (file) => {
      for (let first = 0; first < tensor.rows; first += pieceRows) {
        const rows = Math.min(pieceRows, tensor.rows - first);
        let packed = await this.#kept?.codes(tensor, shrinkage, first);
        if (packed === undefined) {
          const factor = await factors(shrinkage);
          if (factor === undefined) return;
          const source = readExactly(file, tensor.sourceOffset + first * sourceRow, rows * sourceRow);
          packed = await this.#quantize(tensor, source, rows, factor);
          await this.#kept?.keepCodes(tensor, shrinkage, first, packed);
        }
        writeExactly(this.#target, tensor.offset + first * row, packed);
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
