/**
 * The codes of a quantized file's tensors, chosen anew with error feedback and written into their places. How far Σ is
 * shrunk, and whether feedback pays at all, is decided for each tensor on inputs it was not calibrated on.
 */
import { closeSync, openSync } from "node:fs";
import { rowBytes } from "../../ggml/tensor-types.ts";
import type { ChosenCodes, CodedTensor, CodesFolder } from "../engine.ts";
import type { FeedbackKernels } from "./feedback.ts";
import {
  type Factor,
  factorOf,
  feedbackJob,
  readSourceRows,
  SHRINKAGES,
  sampledRows,
  type Trial,
  tryFeedback,
} from "./feedback-trials.ts";
import { readExactly, withFile, writeExactly } from "./file-pieces.ts";
import { KeptCodes } from "./kept-codes.ts";
import type { InputMoments, MomentsCollector } from "./moments-collector.ts";

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

/** By how far Σ is shrunk; undefined where it can't be factorized. */
type Factors = (shrinkage: number) => Promise<Factor | undefined>;

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
    const open: { readonly tensor: CodedTensor; readonly trial: Trial }[] = [];
    for (const tensor of tensors) {
      const trial = await this.#trial(tensor);
      const choice = await this.#kept?.choice(tensor, trial.packed);
      if (choice === undefined) open.push({ tensor, trial });
      else known.set(tensor, choice);
    }
    const trials = open.map(({ trial }) => trial);
    for (const [index, result] of (await tryFeedback(this.#kernels, this.#moments, trials)).entries()) {
      const { tensor, trial } = open[index] as (typeof open)[number];
      const choice = { name: tensor.name, ...result };
      known.set(tensor, choice);
      await this.#kept?.keepChoice(tensor, trial.packed, choice);
    }
    const factors = this.#factorsOfAll();
    for (const shrinkage of SHRINKAGES) {
      for (const tensor of tensors) {
        if (known.get(tensor)?.shrinkage === shrinkage) await this.#write(tensor, shrinkage, factors);
      }
    }
    return tensors.map((tensor) => known.get(tensor) as ChosenCodes);
  }

  /** Factors of all inputs, those held out too, each made when it is first asked for and there until the next is. */
  #factorsOfAll(): Factors {
    const { length, fitted, held } = this.#moments;
    let all: Float32Array | undefined;
    let made: { shrinkage: number; factor: Factor | undefined } | undefined;
    return async (shrinkage) => {
      // not in place: sums are used again
      all ??= fitted.map((sum, at) => sum + (held[at] as number));
      if (made?.shrinkage !== shrinkage) {
        made = undefined;
        made = { shrinkage, factor: await factorOf(this.#kernels, all, length, shrinkage) };
      }
      return made.factor;
    };
  }

  /** Rows from all over the tensor, and the codes that stand there. */
  async #trial(tensor: CodedTensor): Promise<Trial> {
    const { type, columns } = tensor;
    const at = sampledRows(tensor.rows);
    const row = rowBytes(type, columns);
    const packed = new Uint8Array(at.length * row);
    at.forEach((from, index) => {
      packed.set(readExactly(this.#target, tensor.offset + from * row, row), index * row);
    });
    return { coded: { ...(await readSourceRows(tensor, at)), type }, packed };
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
    const { sourceType, type, columns } = tensor;
    const job = feedbackJob({ data: source, sourceType, type, rows, columns }, factor);
    const error = await this.#kernels.quantize(job, packed);
    if (Number.isFinite(error)) return packed;
    throw new Error(`${tensor.name} has weights that are NaN or infinite; convert the model again`);
  }
}
