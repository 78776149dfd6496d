/**
 * The codes of a quantized file, chosen again with error feedback: what one column's rounding does to the outputs, the
 * columns after it make up for, as far as their inputs vary together (GPTQ; docs/feedback.md). Types, sizes and places
 * stay, so the file is one that every llama.cpp reads. A tensor keeps the codes of ggml where feedback is no better on
 * inputs it was not calibrated on.
 */
import type { Bench } from "../bench.ts";
import type { ChosenCodes, CodedTensor, CodesFolder } from "../engine/engine.ts";
import { FormatError } from "../errors.ts";
import { isQuantizedType, rowBytes, type TensorType } from "../ggml/tensor-types.ts";
import type { Model, OpenModel, TensorInfo } from "../gguf/model.ts";
import { openModel } from "../gguf/open.ts";
import type { Plan } from "../plan/plan.ts";
import { withNotes } from "../quantize/plan-spec.ts";
import type { QuantizeSpec } from "../quantize/quantize.ts";
import { PRISM_VERSION } from "../version.ts";
import { calibrationFiles } from "./calibration-text.ts";
import { codesFolder, dropCodes } from "./kept-work.ts";
import { type FeedbackRequest, overInputs } from "./over-inputs.ts";

export interface FeedbackOutcome {
  /** Tensors that have other codes now. */
  readonly chosen: number;
  /** Tensors whose codes are ggml's: feedback was no better, or their inputs are not those of one dense product. */
  readonly kept: number;
  /** Geometric mean of the held-out errors of the chosen, divided by those of the codes that stood there. */
  readonly ratio: number;
  /** The text they were calibrated on. */
  readonly text: string;
}

/** A run chooses codes of models of up to so many weights unasked: 0.135 billion took 9 minutes on 2 cores. */
export const AUTO_FEEDBACK_WEIGHTS = 1e9;

/** The key of the file that says how its codes were made. */
export const FEEDBACK_KEY = "prism.feedback";

/** What a file says of its codes before they are made. */
export function feedbackNotes({ calibration = [] }: FeedbackRequest): ReadonlyMap<string, string> {
  const files = calibrationFiles(calibration).length;
  const own = files === calibration.length && files > 0 ? [] : ["text of its own"];
  const text = [...(files === 0 ? [] : [`${files} texts given`]), ...own].join(" and ");
  return new Map([[FEEDBACK_KEY, `PRISM ${PRISM_VERSION}: codes chosen with error feedback, from ${text}`]]);
}

/** Say where a plan counts with codes that aren't chosen so. */
export function noteFeedback(plan: Plan, feedback: boolean, { progress }: Pick<Bench, "progress">): void {
  if (plan.feedback === undefined || feedback) return;
  progress.note("! the plan counts with codes chosen with error feedback; without --feedback the file loses more");
}

/** The specification of a plan's file with its codes chosen so, and what became of them once it is made. */
export function feedbackSpec(
  source: OpenModel,
  plan: Plan,
  stock: QuantizeSpec,
  request: FeedbackRequest,
  bench: Bench,
  onOutcome: (outcome: FeedbackOutcome) => void = () => undefined,
): { spec: QuantizeSpec; outcome(): FeedbackOutcome | undefined } {
  let outcome: FeedbackOutcome | undefined;
  const kept: CodesFolder[] = [];
  const finish = async (aside: string): Promise<void> => {
    outcome = await addFeedback(source, aside, request, bench, (folder) => kept.push(folder));
    onOutcome(outcome);
  };
  const onWhole = () => dropCodes(kept);
  return { spec: { ...withNotes(plan, stock, feedbackNotes(request)), finish, onWhole }, outcome: () => outcome };
}

/** In a line, for a person. */
export function describeOutcome({ chosen, kept, ratio, text }: FeedbackOutcome): string {
  const error =
    chosen === 0 ? "" : `, whose error on text they were not calibrated on is ${ratio.toFixed(2)} of ggml's`;
  return `codes of ${chosen} tensors chosen with error feedback (text: ${text})${error}; ${kept} keep ggml's`;
}

/**
 * Choose the codes of `output`, a quantized form of `source`, again, in its place. `onKept` hears of each folder of codes
 * that is of no more use once the output is whole.
 */
export async function addFeedback(
  source: OpenModel,
  output: string,
  request: FeedbackRequest,
  bench: Bench,
  onKept: (folder: CodesFolder) => void = () => undefined,
): Promise<FeedbackOutcome> {
  const tensors = await codedTensors(source.model, output);
  const { progress, signal } = bench;
  const chosen: ChosenCodes[] = [];
  const text = await overInputs(source, tensors, request, bench, async ({ loaded, weights, inputs }) => {
    const before = chosen.length;
    const kept = await codesFolder(source, inputs, bench);
    if (kept !== undefined) onKept(kept);
    const codes = await loaded.chooseCodes({
      output,
      tensors: weights,
      kept,
      signal,
      onNote: progress.note,
      onProgress: (done) => progress.steps("choosing codes", before + done, tensors.length),
    });
    chosen.push(...codes);
  });
  return outcomeOf(tensors, chosen, text);
}

/** What became of all tensors. */
export function outcomeOf(
  tensors: readonly Pick<CodedTensor, "name">[],
  codes: readonly ChosenCodes[],
  text: string,
): FeedbackOutcome {
  const better = codes.filter(({ shrinkage }) => shrinkage !== undefined);
  const chosen = new Set(better.map(({ name }) => name)).size;
  const logs = better.reduce((sum, { ratio }) => sum + Math.log(ratio), 0);
  return {
    chosen,
    kept: new Set(tensors.map(({ name }) => name)).size - chosen,
    ratio: better.length === 0 ? 1 : Math.exp(logs / better.length),
    text,
  };
}

/** Where a tensor's codes lie in a file. */
export type PlacedTensor = Pick<TensorInfo, "name" | "type" | "offset" | "shape">;

async function codedTensors(source: Model, output: string): Promise<CodedTensor[]> {
  const file = await openModel(output);
  try {
    return codesIn(source, file.model.tensors, output);
  } finally {
    await file.close();
  }
}

/** The matrices in the file at a path that hold codes, and where their weights come from. */
export function codesIn({ tensors, shards }: Model, placed: readonly PlacedTensor[], path: string): CodedTensor[] {
  const sources = new Map(tensors.map((tensor) => [tensor.name, tensor]));
  return placed.flatMap(({ name, type, offset, shape }) => {
    const source = sources.get(name);
    if (source === undefined) throw new FormatError(path, `has a tensor ${name}, which its source has not`);
    if (!isQuantizedType(type) || type === source.type) return [];
    const [columns = 1, rows = 1, ...outer] = shape;
    const experts = outer.reduce((product, n) => product * n, 1);
    const from = shards[source.shard]?.path ?? "";
    return Array.from({ length: experts }, (_, expert): CodedTensor => {
      const place = (start: number, stored: TensorType) => start + expert * rows * rowBytes(stored, columns);
      return {
        name,
        ...(experts > 1 ? { expert } : {}),
        from,
        sourceOffset: place(source.offset, source.type),
        sourceType: source.type,
        offset: place(offset, type),
        type,
        columns,
        rows,
      };
    });
  });
}
