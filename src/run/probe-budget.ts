/**
 * How much is decoded for probes: decided once, before the first, and kept in the run's state, so that neither the load of
 * this second nor an interruption decides what is planned. Without a wish it follows from the model's size and what
 * computes. Pure.
 */

import { present } from "../present.ts";
import { FIRST_LOOK } from "../probes/try-plans.ts";
import type { ProbeBudget } from "./run-document.ts";
import type { CompleteRunRequest } from "./run-request.ts";

/** What is asked for, apart from "none". */
type RefineRequest = Exclude<CompleteRunRequest["refine"], "none">;

export interface ProbeBudgetInput {
  /** Tensors there are to probe. */
  readonly tensors: number;
  readonly elements: number;
  readonly context: number;
  readonly threads: number;
  /** Every layer is on a GPU. */
  readonly onGpu: boolean;
  /** Texts are sampled, not cut out of a file. */
  readonly sampled: boolean;
  /** Milliseconds to score a chunk, as it was timed. */
  readonly chunkMs: number;
}

/** Weights × tokens per second that a thread, or a GPU, usually computes with: 125 tokens/s of 135M, 4,000 of 8B. */
const NOMINAL_SPEED = { thread: 1.7e10, gpu: 3.2e13 } as const;
/** Time that probing may take where nobody asked for it, by that speed, and chunks that are enough for any model. */
export const AUTO_TIME_MS = 10 * 60_000;
const AUTO_CHUNKS = 256;

/** Chunks of an average probe: `--refine N` decodes N times as many. */
export const CHUNKS_PER_PROBE = 4;
/** Chunks of the text of probes; nothing is measured on more. */
export const TEXT_CHUNKS = 16;
/** Chunks of a trial; its first look mostly decides it. */
const TRIAL_CHUNKS = 64;
/** Passes over the chunks of a trial: the reference and both plans. */
const TRIAL_PASSES = 3;
/** A trial on fewer decides nothing: the plan is then kept without. */
const LEAST_TRIAL = 4;
/** How much slower a chunk is sampled than scored. */
const SAMPLING_FACTOR = 3;
/** Where nobody counts probes, they end where knowing all would save no more than this: 95 to 99 % of what it gains. */
const ENOUGH_REGRET = 0.02;
/** Part of the time that the texts and the trial may take: more where they are sampled. */
const BESIDES_SHARE = { file: 1 / 3, sampled: 1 / 2 } as const;
/** Part of that for the text of probes. */
const TEXT_SHARE = 1 / 4;

/** Undefined where the time is too short for a single probe, or where nobody gave it, for a trial. */
export function decideProbeBudget(asked: RefineRequest, input: ProbeBudgetInput): ProbeBudget | undefined {
  const { tensors, chunkMs } = input;
  const most = asked.probes === undefined ? undefined : Math.min(asked.probes, tensors);
  if (most !== undefined && asked.timeMs === undefined) {
    return {
      probes: most,
      chunks: most * CHUNKS_PER_PROBE,
      textChunks: TEXT_CHUNKS,
      trialChunks: TRIAL_CHUNKS,
    };
  }
  const affordable =
    asked.timeMs === undefined
      ? Math.min(AUTO_CHUNKS, AUTO_TIME_MS / nominalChunkMs(input))
      : Math.min(asked.timeMs / chunkMs, tensors * TEXT_CHUNKS * 2);
  const divided = divideChunks(Math.floor(affordable), most, input);
  // nobody asked for them: then nothing is kept untried
  return asked.timeMs === undefined && divided?.trialChunks === 0 ? undefined : divided;
}

/** Milliseconds of a chunk at the usual speed. */
export function nominalChunkMs({
  elements,
  context,
  threads,
  onGpu,
}: Pick<ProbeBudgetInput, "elements" | "context" | "threads" | "onGpu">): number {
  const speed = onGpu ? NOMINAL_SPEED.gpu : NOMINAL_SPEED.thread * threads;
  return (1000 * elements * context) / speed;
}

/** Texts and the trial take their part, probes the rest. */
function divideChunks(
  chunks: number,
  probes: number | undefined,
  { sampled }: ProbeBudgetInput,
): ProbeBudget | undefined {
  const besides = chunks * BESIDES_SHARE[sampled ? "sampled" : "file"];
  // the reference decodes it; what is sampled takes longer before
  const perText = 1 + (sampled ? SAMPLING_FACTOR : 0);
  const perTrial = TRIAL_PASSES + (sampled ? SAMPLING_FACTOR : 0);
  const textChunks = Math.max(1, Math.min(TEXT_CHUNKS, Math.floor((besides * TEXT_SHARE) / perText)));
  const fitting = Math.floor((besides - textChunks * perText) / perTrial);
  const trialChunks = fitting < LEAST_TRIAL ? 0 : Math.min(TRIAL_CHUNKS, fitting);
  const taken = textChunks * perText + trialChunks * perTrial;
  const forProbes = Math.floor(chunks - taken);
  return forProbes < 1
    ? undefined
    : { ...present({ probes }), chunks: forProbes, regret: ENOUGH_REGRET, textChunks, trialChunks };
}

/** Weights that a thread quantizes a second to types of few bits; decoded, they are done a hundred times as fast. */
const QUANTIZED_PER_SECOND = 2e6;
/** How often a round quantizes each weight: into the plan, up, down, back twice, and out of it. */
const SWAP_PASSES = 6;

export interface SwapsAsked {
  /** Whatever it takes. */
  readonly isOn: boolean;
  /** What was given for all probing, and what of it is gone. */
  readonly timeMs?: number | undefined;
  readonly takenMs: number;
}

/** Chunks that each of the moves of a plan is measured on: those of the probes, or 0 where the time does not allow it. */
export function decideSwaps(
  { isOn, timeMs, takenMs }: SwapsAsked,
  moves: number,
  budget: ProbeBudget,
  input: ProbeBudgetInput,
): number {
  const usual = { ...input, chunkMs: nominalChunkMs(input) };
  const fits =
    timeMs === undefined
      ? probeTimeMs(budget, usual) + swapTimeMs(moves, budget, usual) <= AUTO_TIME_MS
      : takenMs + swapTimeMs(moves, budget, input) <= timeMs;
  return isOn || fits ? budget.textChunks : 0;
}

/** Milliseconds that a round of moves takes with its trial, about. */
export function swapTimeMs(
  moves: number,
  { textChunks, trialChunks }: Pick<ProbeBudget, "textChunks" | "trialChunks">,
  { chunkMs, elements, threads }: Pick<ProbeBudgetInput, "chunkMs" | "elements" | "threads">,
): number {
  const quantizing = (SWAP_PASSES * elements) / (QUANTIZED_PER_SECOND * threads);
  return ((moves + 1) * textChunks + TRIAL_PASSES * trialChunks) * chunkMs + 1000 * quantizing;
}

/** Milliseconds that a budget takes, about. */
export function probeTimeMs(
  { chunks, textChunks, trialChunks }: ProbeBudget,
  { chunkMs, sampled }: Pick<ProbeBudgetInput, "chunkMs" | "sampled">,
): number {
  const looked = Math.min(trialChunks, FIRST_LOOK.chunks);
  const sampling = sampled ? SAMPLING_FACTOR * (textChunks + trialChunks) : 0;
  return (chunks + textChunks + TRIAL_PASSES * looked + sampling) * chunkMs;
}
