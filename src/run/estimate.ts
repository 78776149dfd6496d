/**
 * The stages of a run and how long they will take, from one timed batch and the speed of ggml's quantizers. Rough: said
 * to be so, and corrected while the run goes on. Pure.
 */
import type { Bench, Phase, Stage } from "../bench.ts";
import { decideProbeBudget, probeTimeMs } from "./probe-budget.ts";
import type { CompleteRunRequest } from "./run-request.ts";

/** What the stages are called. */
export const RUN_STAGES = {
  imatrix: "importance matrix",
  analysis: "analysis",
  probes: "probes",
  sizes: "sizes",
  plan: "plan",
  files: "files",
  report: "report",
} as const;

export interface EstimateInput
  extends Pick<CompleteRunRequest, "chunks" | "text" | "baselines" | "sweep" | "target" | "refine">,
    Partial<Pick<CompleteRunRequest, "family" | "rivals" | "templates">>,
    Pick<Bench, "threads"> {
  /** Weights of each tensor that is quantized. */
  readonly weights: readonly number[];
  readonly context: number;
  /** Milliseconds to score a chunk. */
  readonly chunkMs: number;
  /** Every layer is on a GPU. */
  readonly onGpu: boolean;
  /** An importance matrix is made. */
  readonly makesImatrix: boolean;
  /** The plan's file is made with error feedback too. */
  readonly makesFeedback: boolean;
  /** Presets are made without the importance matrix too. */
  readonly weighted: boolean;
  /** What files are judged by. */
  readonly measures: { readonly text: boolean; readonly rerank: boolean; readonly embeddings: boolean };
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
/** Nanoseconds of a thread for a weight: measuring what feedback mends, and choosing codes (books-llama-8m, AVX-512). */
const GAINS_NS = 1000;
const CODES_NS = 1500;
/** Chunks that a ranking or an embedding of the set that comes with PRISM is worth. */
const SET_CHUNKS = 40;
/** Seconds that timing a file takes. */
const TIMING_SECONDS = 8;
/** Seconds to solve the plans, and to write the report. */
const SHORT_SECONDS = 1;

/** All stages, in order. */
export function runStages(input: EstimateInput): Stage[] {
  const { makesImatrix, refine, sweep = [], family, target, measures, rivals = [] } = input;
  const probed = refine !== "none" && (measures.text || measures.embeddings);
  const files = 2 + (family && input.makesFeedback ? 1 : 0);
  const points = files * sweep.length + (target === undefined ? 0 : SEARCH_FILES);
  const imatrix = [
    { what: "imatrix", seconds: chunkSeconds(input, SAMPLED_CHUNKS * (SAMPLING_FACTOR + IMPORTANCE_FACTOR)) },
  ];
  return [
    ...(makesImatrix ? [{ name: RUN_STAGES.imatrix, parts: [imatrix] }] : []),
    { name: RUN_STAGES.analysis, parts: [analysisPhases(input)] },
    ...(probed ? [{ name: RUN_STAGES.probes, parts: [probePhases(input)] }] : []),
    ...(points > 0 ? [{ name: RUN_STAGES.sizes, parts: partsOf(points, input) }] : []),
    { name: RUN_STAGES.plan, parts: [[{ what: "planning", seconds: SHORT_SECONDS }]] },
    { name: RUN_STAGES.files, parts: [...partsOf(filesOf(input), input), ...rivals.map(() => judgingPhases(input))] },
    { name: RUN_STAGES.report, parts: [[{ what: "writing", seconds: SHORT_SECONDS }]] },
  ];
}

/** Files that are quantized and judged beside those of a sweep. */
export function filesOf({ baselines, templates = [], weighted, makesFeedback }: EstimateInput): number {
  const presets = Math.max(0, baselines.length - 2);
  const plain = weighted && baselines.length === 0 ? PLAIN_FILES : 0;
  return FILES + presets + templates.length + plain + (makesFeedback ? 1 : 0);
}

/** A file that is quantized and judged; `coded`: its codes are chosen with error feedback. */
export function filePhases(input: EstimateInput, coded = false): Phase[] {
  const { weights, threads } = input;
  const all = sum(weights);
  return [
    { what: "quantizing", seconds: (all * QUANTIZE_NS) / 1e9 / threads },
    ...(coded ? [{ what: "choosing codes", seconds: (all * CODES_NS) / 1e9 / threads }] : []),
    ...judgingPhases(input),
  ];
}

/** Judging a file that stands there. */
export function judgingPhases(input: EstimateInput): Phase[] {
  const { measures, chunks = LIKELY_CHUNKS } = input;
  return [
    ...(measures.text ? [{ what: "evaluating", seconds: chunkSeconds(input, chunks) }] : []),
    ...(measures.rerank ? [{ what: "ranking", seconds: chunkSeconds(input, SET_CHUNKS) }] : []),
    ...(measures.embeddings ? [{ what: "embedding", seconds: chunkSeconds(input, SET_CHUNKS) }] : []),
  ];
}

/** The first file waits for the text: where it is sampled, that; and the reference's logits. */
function textPhases(input: EstimateInput): Phase[] {
  const { text, measures, chunks = LIKELY_CHUNKS } = input;
  if (!measures.text) return [];
  return [
    ...(text === undefined
      ? [{ what: "sampling text", seconds: chunkSeconds(input, SAMPLED_CHUNKS * SAMPLING_FACTOR) }]
      : []),
    { what: "reference", seconds: chunkSeconds(input, chunks) },
  ];
}

/** Forecasts are this much too small, as a rule of caution. */
const CAUTION = 1.5;

/** Milliseconds that the plan's own file takes with what it is judged by: what is begun before leaves them. */
export function planFileMs(input: EstimateInput): number {
  const phases = withText(filePhases(input), input);
  return 1000 * CAUTION * (sum(phases.map(({ seconds }) => seconds)) + 2 * SHORT_SECONDS);
}

/** So many files; the text is made ready with the first. */
function partsOf(count: number, input: EstimateInput): Phase[][] {
  const parts = Array.from({ length: count }, (_, index) => filePhases(input, input.makesFeedback && index === 1));
  return parts.map((phases, index) => (index === 0 ? withText(phases, input) : phases));
}

/** The phases of the first file of a run, after it was quantized with those of the text. */
export function withText([first, ...rest]: readonly Phase[], input: EstimateInput): Phase[] {
  return [...(first === undefined ? [] : [first]), ...textPhases(input), ...rest];
}

/** Tokens per second of so many files, in turn. */
export function timingPhase(files: number): Phase {
  return { what: "timing", seconds: files * TIMING_SECONDS };
}

function analysisPhases(input: EstimateInput): Phase[] {
  const { weights, threads, context, makesFeedback } = input;
  const sampled = sum(weights.map((count) => Math.min(count, SAMPLED_WEIGHTS)));
  const analyzing = { what: "analyzing", seconds: (sampled * ROUND_TRIPS_NS) / 1e9 / threads };
  if (!makesFeedback) return [analyzing];
  const texts = (FEEDBACK_CHUNKS + SHIPPED_TOKENS / context) * IMPORTANCE_FACTOR;
  return [
    analyzing,
    { what: "sampling text", seconds: chunkSeconds(input, FEEDBACK_CHUNKS * SAMPLING_FACTOR) },
    { what: "inputs of the weights", seconds: chunkSeconds(input, texts) },
    { what: "what feedback mends", seconds: (sampled * GAINS_NS) / 1e9 / threads },
  ];
}

function probePhases(input: EstimateInput): Phase[] {
  const { weights, refine, context, threads, onGpu, chunkMs, text, measures } = input;
  const about = {
    ...{ tensors: weights.length, elements: sum(weights), context, threads, onGpu, chunkMs },
    sampled: text === undefined && measures.text,
  };
  const budget = refine === "none" ? undefined : decideProbeBudget(refine, about);
  if (budget === undefined) return [{ what: "probing", seconds: 0 }];
  const { textChunks, trialChunks, chunks } = budget;
  const probing = { what: "probing", seconds: chunkSeconds(input, chunks) };
  const sampling = about.sampled ? chunkSeconds(input, SAMPLING_FACTOR * (textChunks + trialChunks)) : 0;
  const all = probeTimeMs(budget, about) / 1000;
  return [
    { what: "sampling text", seconds: sampling },
    { what: "reference", seconds: chunkSeconds(input, textChunks) },
    probing,
    { what: "trying the plans", seconds: Math.max(0, all - probing.seconds - sampling) },
  ];
}

function chunkSeconds({ chunkMs }: Pick<EstimateInput, "chunkMs">, chunks: number): number {
  return (chunks * chunkMs) / 1000;
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}

/** "estimated time: about 7 min in 6 steps: analysis 20 s, ... ". The steps add up to it. */
export function describeStages(stages: readonly Stage[]): string {
  const seconds = stages.map(({ parts }) => sum(parts.flat().map((phase) => phase.seconds)));
  const steps = stages.map(({ name, parts }, index) => {
    const count = parts.length > 1 ? `${parts.length} ${name}` : name;
    return `${count} ${roughly(seconds[index] as number)}`;
  });
  return `estimated time: about ${roughly(sum(seconds))} in ${stages.length} steps: ${steps.join(", ")}`;
}

/** "20 s", "7 min", "3 h". */
function roughly(seconds: number): string {
  if (seconds < 60) return `${Math.max(1, Math.round(seconds))} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  return `${Math.round(seconds / 3600)} h`;
}
