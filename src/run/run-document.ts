/**
 * The Run document (`prism.run/1`), state.json of a run's directory: what was asked, what is done, and the rows of the
 * result. Written after every finished step, so that an interrupted run goes on where it was.
 */

import type { Evaluation, KldSummary, MeanSe } from "../evaluate/evaluation.ts";
import type { RerankFidelity } from "../evaluate/rerank-result.ts";
import type { ProbeMeasurement } from "../probes/probe-store.ts";
import type { OutputFile } from "../quantize/outputs.ts";
import type { Calibration } from "./calibration.ts";

export const RUN_SCHEMA = "prism.run/1";

/** Files whose bytes differ by a smaller share are taken to be of one size. */
export const SAME_SIZE = 0.005;

/** `uniform-s`: the plan with s = elements, the control of any other sensitivity. */
export type RowKind = "plan" | "preset" | "published" | "uniform" | "uniform-s" | "shuffle" | "reference";

export interface RunRow {
  readonly label: string;
  readonly kind: RowKind;
  readonly fileBytes: number;
  readonly bpw: number;
  readonly ppl?: MeanSe;
  readonly lnPplRatio?: MeanSe;
  readonly kld?: KldSummary;
  /** Percent. */
  readonly sameTop?: number;
  readonly sameTopSe?: number;
  /** Σ s·D of the row's types under the plan's sensitivity; absent where D of one was not measured. */
  readonly predictedLoss?: number;
  /** The plan against this row, in words (verdict.ts); for the plan itself, the verdict of the run. */
  readonly verdict?: string;
  /** KLD of this row minus the plan's, over the same chunks, with the standard error between chunks. */
  readonly kldMinusPlan?: MeanSe;
  /** Mean KLD per chunk, for comparisons between any two rows. */
  readonly kldPerChunk?: readonly number[];
  /** Of a reranker: how far its scores are from the reference's. The verdict goes by it where it is there. */
  readonly rerank?: RerankFidelity & { readonly ndcg10?: MeanSe };
  /** Mean |Δscore| of this row minus the plan's, over the same queries. */
  readonly rerankMinusPlan?: MeanSe;
}

/** Everything that decides the result; a directory is resumed only with the same. */
export interface RunAsked {
  readonly model: string;
  readonly fingerprint: string;
  readonly budget: string;
  /** Budgets of a sweep. */
  readonly sweep?: readonly string[];
  readonly mode: string;
  readonly constraints: readonly string[];
  /** The guards that were on (plan/guards.ts). */
  readonly guards: readonly string[];
  readonly sensitivity: string;
  /** Probes asked for: a number, or "auto"; absent: none. */
  readonly refine?: string;
  readonly imatrix?: string;
  readonly baselines: readonly string[];
  /** SHA-256 of the text file, or "sampled". */
  readonly text: string;
  /** SHA-256 of the file of queries and documents; absent: the set that comes with PRISM, if any. */
  readonly rerankSet?: string;
  readonly context?: number;
  readonly chunks?: number;
  readonly seed: number;
  readonly exactMetrics: boolean;
  readonly exactDistortion: boolean;
  readonly gpuLayers: number;
  readonly engine: string;
  readonly prismVersion: string;
}

/** A plan of a sweep or of the search for a quality, measured like a row. */
export type SweepPoint = Omit<RunRow, "kind" | "verdict" | "kldMinusPlan" | "kldPerChunk"> & {
  /** The budget as it was asked. */
  readonly budget: string;
  /** Its plan, below the run's directory. */
  readonly plan: string;
};

/** Size against KLD: plans at several budgets beside the presets of the rows. */
export interface Sweep {
  readonly points: readonly SweepPoint[];
  /** Labels of the points, presets, published recipes and the plan that no other one of them beats, by size. */
  readonly survivors: readonly string[];
  /** The survivor beyond which a byte buys less than on average; absent where there is no bend. */
  readonly knee?: string;
  readonly calibration?: Calibration;
}

/** The quality that was asked, and the file that meets it: value + se ≤ limit. */
export interface TargetResult {
  readonly measure: "kld" | "pplRatio";
  readonly limit: number;
  readonly fileBytes: number;
  readonly value: number;
  readonly se: number;
  /** Files that were made and measured to find it. */
  readonly evaluations: number;
}

/** What probes changed, and whether the plan keeps it. */
export interface Refinement {
  /** What regularised the fit: the sensitivity of the unrefined plan. */
  readonly prior: string;
  /** in-place: weights are degraded in a loaded model; file: every probe is a quantized file. */
  readonly kind: "in-place" | "file";
  /** Where the probes' tokens come from; none of them is the verdict's. */
  readonly text: "file" | "sampled";
  readonly context: number;
  /** Chunks of the text that were left for the verdict; absent: all. */
  readonly verdictChunks?: number;
  readonly probes: readonly ProbeMeasurement[];
  readonly elapsedMs: number;
  /** Both plans on the same chunks, which neither the probes nor the verdict saw; absent where they are the same. */
  readonly trial?: {
    readonly chunks: number;
    readonly unrefinedKld: number;
    readonly refinedKld: number;
    /** Refined minus unrefined. */
    readonly difference: MeanSe;
  };
  readonly accepted: boolean;
  /** In words. */
  readonly outcome: string;
}

export interface GateResult {
  readonly gate: string;
  readonly value?: number;
  readonly met: boolean;
}

export interface Run {
  readonly schema: typeof RUN_SCHEMA;
  readonly prismVersion: string;
  readonly createdAt: string;
  readonly finishedAt?: string;
  readonly asked: RunAsked;
  /** What probes did; absent where none were asked, or until they are done. */
  readonly refinement?: Refinement;
  /** What was scored; absent until the first model was. */
  readonly text?: Evaluation["text"];
  readonly rows: readonly RunRow[];
  readonly sweep?: Sweep;
  readonly target?: TargetResult;
  readonly verdict?: string;
  /** Whether the plan beats s = elements and every shuffle by more than 2 SE; absent until all of them were judged. */
  readonly creditsSensitivity?: boolean;
  readonly gates: readonly GateResult[];
  readonly warnings: readonly string[];
  /** The files to take away, of a finished run: the models that are kept, projectors, plan and recipes. */
  readonly outputs?: readonly OutputFile[];
}
