/** What a run is asked, and its defaults; what it works with is the bench. */
import type { Analysis } from "../analyze/analysis.ts";
import type { EmbeddingOptions } from "../embed/embeddings.ts";
import type { MoreFigures, TextRequest } from "../evaluate/evaluate-options.ts";
import type { FileType } from "../ggml/file-types.ts";
import type { PlanOptions } from "../plan/make-plan.ts";
import type { Template } from "../plan/template.ts";
import type { ProbeGuard } from "../probes/try-plans.ts";
import type { ReadingOptions } from "../rerank/rerank-scorer.ts";
import type { Sensitivity } from "../sensitivity/sensitivity.ts";
import { parseSensitivity } from "../sensitivity/sensitivity-modes.ts";
import type { Deadline } from "./deadline.ts";
import type { Gate } from "./gates.ts";
import type { QualityTarget } from "./quality-target.ts";

export interface RunRequest extends Omit<TextRequest, "spread">, MoreFigures {
  /** The run's directory. */
  readonly out: string;
  /** Where the search begins, where a target is given. */
  readonly budget?: PlanOptions["budget"] | undefined;
  /** The budget is the user's, not a default. */
  readonly budgetGiven?: boolean | undefined;
  /** Find the smallest file of this quality. */
  readonly target?: QualityTarget | undefined;
  /** Measure plans at these budgets too. */
  readonly sweep?: readonly PlanOptions["budget"][] | undefined;
  /** Keep the file of each of them. */
  readonly family?: boolean | undefined;
  readonly mode?: "tensor" | "class" | undefined;
  readonly constraints?: PlanOptions["constraints"] | undefined;
  readonly guards?: PlanOptions["guards"] | undefined;
  /** The only types that the plan may choose. */
  readonly types?: PlanOptions["types"] | undefined;
  /** `name` stands for it in state.json: a file's needs a hash of its content. */
  readonly sensitivity?:
    | { readonly name: string; readonly path?: string | undefined; readonly of: (analysis: Analysis) => Sensitivity }
    | undefined;
  /**
   * So many probes, as many as fit into that time, or, where neither is given, what suits the model's size. `none`: the
   * prior decides.
   */
  readonly refine?: { readonly probes?: number | undefined; readonly timeMs?: number | undefined } | "none" | undefined;
  /**
   * Measure moves of the refined plan in place, and keep the plan that follows where it is better; auto: below 3 bits per
   * weight, where the model's size suits.
   */
  readonly swaps?: "auto" | "on" | "off" | undefined;
  /** Keep a refined plan only where this is no worse by it than by the unrefined one. */
  readonly probeGuard?: ProbeGuard | undefined;
  /** Path of an importance matrix, or "none"; absent: made of text sampled from the model, where that can be had. */
  readonly imatrix?: string | undefined;
  /** Empty: the presets just below and above the plan's size. */
  readonly baselines?: readonly FileType[] | undefined;
  /** GGUF files that others made of the model, of this machine or remote: judged as they are. */
  readonly rivals?: readonly string[] | undefined;
  /** Types of other files, quantized here. */
  readonly templates?: readonly NamedTemplate[] | undefined;
  /** Queries and documents a reranker is judged by (JSON Lines); absent: the set that comes with PRISM. */
  readonly rerankSet?: string | undefined;
  /** How documents are scored by a prompt, where that was asked. */
  readonly reading?: ReadingOptions | undefined;
  /** How embeddings are judged, where that was asked; absent: of models that embed, by the set that comes with PRISM. */
  readonly embedding?: Omit<EmbeddingOptions, "context"> | undefined;
  readonly exactMetrics?: boolean | undefined;
  readonly exactDistortion?: boolean | undefined;
  readonly gates?: readonly Gate[] | undefined;
  /** Choose the codes of the plan's file with error feedback; auto: for models of up to AUTO_FEEDBACK_WEIGHTS. */
  readonly feedback?: "auto" | "on" | "off" | undefined;
  /** Text to choose them by, a file a kind; by default what the model writes and the text that comes with PRISM. */
  readonly calibration?: readonly string[] | undefined;
  /** Measure tokens per second of the plan and the presets; auto: wherever next tokens are judged. */
  readonly speed?: "auto" | "on" | "off" | undefined;
  /** Keep the controls' models too; the plan's is always kept. */
  readonly keepModels?: boolean | undefined;
  readonly allowRequantize?: boolean | undefined;
  /** Refuse a model in which preflight finds errors or warnings. */
  readonly strict?: boolean | undefined;
  /** Go on with a model that llama.cpp does not load. */
  readonly forceFindings?: boolean | undefined;
  /** Have the models that are kept in files of at most so many bytes. */
  readonly splitMaxBytes?: number | undefined;
  /** Have them in as many files as the source. */
  readonly keepSplit?: boolean | undefined;
  /** When its time is over the run ends with what it has; it decides what is left out, and no more is asked for. */
  readonly deadline?: Deadline | undefined;
  /** Begin anew in a directory that holds a run. */
  readonly force?: boolean | undefined;
}

/** A template as a control of a run. */
export interface NamedTemplate {
  /** The name of its file. */
  readonly label: string;
  /** Of what it says. */
  readonly sha256: string;
  readonly template: Template;
}

/** In the place of a file: no importance matrix. */
export const NO_IMATRIX = "none";

/** The budget most people want: the size of the most downloaded preset. */
export const DEFAULT_BUDGET: FileType = "Q4_K_M";

/** Probes of --refine without a number: they tell every class, and the classes that weigh most along the depth. */
export const DEFAULT_PROBES = 40;

export const RUN_DEFAULTS = {
  budget: { kind: "like", fileType: DEFAULT_BUDGET },
  budgetGiven: false,
  family: false,
  mode: "tensor",
  constraints: [],
  guards: {},
  sensitivity: { name: "auto", of: parseSensitivity("auto") },
  refine: {},
  swaps: "auto",
  baselines: [],
  rivals: [],
  templates: [],
  exactMetrics: false,
  exactDistortion: false,
  gates: [],
  feedback: "auto",
  speed: "auto",
  calibration: [],
  keepModels: false,
  allowRequantize: false,
  strict: false,
  forceFindings: false,
  force: false,
} as const satisfies Partial<RunRequest>;

/** A request with nothing left open that has a default. */
export type CompleteRunRequest = Omit<RunRequest, keyof typeof RUN_DEFAULTS> & {
  readonly [Key in keyof typeof RUN_DEFAULTS]: Exclude<RunRequest[Key], undefined>;
};

/** The file of the user's matrix. */
export function imatrixFile({ imatrix }: Pick<RunRequest, "imatrix">): string | undefined {
  return imatrix === NO_IMATRIX ? undefined : imatrix;
}
