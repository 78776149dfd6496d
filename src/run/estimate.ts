/** How long a run will take, from one timed batch and the speed of ggml's quantizers. Rough: said to be so. Pure. */
import type { Bench } from "../bench.ts";
import type { CompleteRunRequest } from "./run-request.ts";

export interface EstimateInput
  extends Pick<CompleteRunRequest, "chunks" | "text" | "baselines" | "sweep" | "target">,
    Partial<Pick<CompleteRunRequest, "family">>,
    Pick<Bench, "threads"> {
  /** Weights of each tensor that is quantized. */
  readonly weights: readonly number[];
  readonly context: number;
  /** Milliseconds to score a chunk. */
  readonly chunkMs: number;
  /** An importance matrix is made. */
  readonly makesImatrix?: boolean;
  /** The plan's file is made with error feedback too. */
  readonly makesFeedback?: boolean;
  /** Presets are made without the importance matrix too. */
  readonly weighted?: boolean;
}

export interface RunEstimate {
  readonly analysisMs: number;
  readonly files: number;
  readonly fileMs: number;
  readonly textMs: number;
  readonly imatrixMs: number;
  readonly feedbackMs: number;
  readonly chunks: number;
  readonly context: number;
}

/** Nanoseconds a thread takes to quantize a weight to Q4_K (13 million a second on a server core, AVX-512). */
const QUANTIZE_NS = 77;
/** Nanoseconds to quantize it to all candidate types once (about 1 µs), and weights of a tensor that are sampled. */
const ROUND_TRIPS_NS = 1000;
const SAMPLED_WEIGHTS = 2 ** 18;
/** Chunks a length rule mostly ends at. */
const LIKELY_CHUNKS = 40;
/** Two presets, two uniform types, s = elements, three shuffles and the plan. */
const FILES = 9;
/** The two presets without an importance matrix. */
const PLAIN_FILES = 2;
/** Files a search for a quality mostly takes. */
const SEARCH_FILES = 4;
/** Sequences of sampled text, and how much slower a step of sampling is than a token of scoring. */
const SAMPLED_CHUNKS = 32;
const SAMPLING_FACTOR = 3;
/** How much slower a chunk is while its importance is summed. */
const IMPORTANCE_FACTOR = 2;

/** Chunks that the model writes for error feedback, and tokens of the text that comes with PRISM, as most vocabularies cut it. */
const FEEDBACK_CHUNKS = 64;
const SHIPPED_TOKENS = 50_000;

export function estimateRun(input: EstimateInput): RunEstimate {
  const { weights, threads, context, chunkMs, baselines, sweep = [], family, target, text } = input;
  const all = weights.reduce((sum, count) => sum + count, 0);
  const sampled = weights.reduce((sum, count) => sum + Math.min(count, SAMPLED_WEIGHTS), 0);
  const chunks = input.chunks ?? LIKELY_CHUNKS;
  const presets = Math.max(0, baselines.length - 2);
  const plain = input.weighted && baselines.length === 0 ? PLAIN_FILES : 0;
  const sampledMs = SAMPLED_CHUNKS * chunkMs;
  return {
    analysisMs: (sampled * ROUND_TRIPS_NS) / 1e6 / threads,
    files:
      FILES +
      presets +
      plain +
      (input.makesFeedback ? 1 : 0) +
      (2 + (family && input.makesFeedback ? 1 : 0)) * sweep.length +
      (target === undefined ? 0 : SEARCH_FILES),
    fileMs: (all * QUANTIZE_NS) / 1e6 / threads + chunks * chunkMs,
    textMs: chunks * chunkMs + (text === undefined ? sampledMs * SAMPLING_FACTOR : 0),
    imatrixMs: input.makesImatrix ? sampledMs * (SAMPLING_FACTOR + IMPORTANCE_FACTOR) : 0,
    feedbackMs: input.makesFeedback
      ? (FEEDBACK_CHUNKS * SAMPLING_FACTOR + (FEEDBACK_CHUNKS + SHIPPED_TOKENS / context) * IMPORTANCE_FACTOR) * chunkMs
      : 0,
    chunks,
    context,
  };
}

/** "estimated time: about 7 min: analysis 20 s, ...". */
export function describeEstimate(estimate: RunEstimate): string {
  const { analysisMs, files, fileMs, textMs, imatrixMs, feedbackMs, chunks, context } = estimate;
  const total = imatrixMs + feedbackMs + analysisMs + textMs + files * fileMs;
  const imatrix = imatrixMs === 0 ? "" : `importance matrix ${roughly(imatrixMs)}, `;
  const feedback = feedbackMs === 0 ? "" : `, error feedback ${roughly(feedbackMs)}`;
  return (
    `estimated time: ${roughly(total)}: ${imatrix}analysis ${roughly(analysisMs)}, the reference's text ${roughly(textMs)}, ` +
    `${files} files quantized and scored on some ${chunks} chunks of ${context} tokens, ${roughly(fileMs)} each${feedback}`
  );
}

/** "20 s", "7 min", "3 h". */
function roughly(ms: number): string {
  const seconds = ms / 1000;
  if (seconds < 60) return `${Math.max(1, Math.round(seconds))} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  return `${Math.round(seconds / 3600)} h`;
}
