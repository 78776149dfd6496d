/** What a stage of a campaign is asked: its options, the files that go into the campaign, and what its model must stand. */
import type { Bench } from "../bench.ts";
import type { OpenModel } from "../gguf/model.ts";
import type { CheckRequest } from "../intake/checked-model.ts";
import { present } from "../present.ts";
import type { CampaignRequest } from "../shard/campaign.ts";
import type { StageId } from "../shard/campaign-document.ts";
import type { AnalysisOptions } from "../shard/stages/analysis.ts";
import type { EvaluateModelsRequest } from "./evaluate.ts";
import { refuseOptions } from "./given-option.ts";
import { type Exact, exactOf } from "./planning-request.ts";
import { askEvaluation } from "./shard-evaluation.ts";
import { askFeedback } from "./shard-feedback.ts";
import { askProbes } from "./shard-probes.ts";
import { askQuantize } from "./shard-quantize.ts";
import { askImatrix } from "./shard-texts.ts";

/** Stages that prism shard plans. */
export const SHARDED_STAGES = [
  "analysis",
  "quantize",
  "imatrix",
  "probes",
  "evaluation",
  "feedback",
] as const satisfies readonly StageId[];
type Stage = (typeof SHARDED_STAGES)[number];

export interface StageRequest {
  /** By default the analysis. */
  readonly stage?: Stage | undefined;
  readonly imatrix?: string | undefined;
  /** Of the analysis. */
  readonly exact?: Exact | undefined;
  readonly targetRelativeSe?: number | undefined;
  /** Of quantize: the plan of the file. */
  readonly plan?: string | undefined;
  readonly splitMaxSize?: string | undefined;
  readonly keepSplit?: boolean | undefined;
  readonly allowRequantize?: boolean | undefined;
  readonly feedback?: boolean | undefined;
  readonly calibration?: readonly string[] | undefined;
  /** Of the evaluation: files that are compared with the model. */
  readonly candidate?: readonly string[] | undefined;
  readonly kinds?: EvaluateModelsRequest["kinds"];
  readonly kv?: EvaluateModelsRequest["kv"];
  /** Go on with models that llama.cpp does not load. */
  readonly forceFindings?: boolean | undefined;
  /** Of the imatrix: the text; by default the one that comes with PRISM, all chunks of 512 tokens. Of the evaluation. */
  readonly text?: string | undefined;
  readonly context?: number | undefined;
  readonly chunks?: number | undefined;
  readonly head?: boolean | undefined;
  /** Of probes: how many groups at most, and chosen at a time. */
  readonly probes?: number | undefined;
  readonly round?: number | undefined;
  /** Path of the analysis of the model; by default it is analyzed by the planner. */
  readonly analysis?: string | undefined;
}

/** What a campaign is made with. */
export interface StageContent extends Pick<CampaignRequest, "inputs" | "candidates"> {
  readonly options: unknown;
}

export interface AskedStage {
  readonly stage: StageId;
  readonly checks: Partial<CheckRequest>;
  /** Once the model is open; `said`: what is wrong with it. */
  prepare(source: OpenModel, bench: Bench, said: readonly string[]): Promise<StageContent>;
}

/** What each stage is asked, beside what all are; the options of others are refused. */
const ASKED: Readonly<Record<Stage, readonly (keyof typeof FLAGS)[]>> = {
  analysis: ["imatrix", "exact", "targetRelativeSe"],
  quantize: ["plan", "imatrix", "splitMaxSize", "keepSplit", "allowRequantize", "feedback", "calibration"],
  imatrix: ["text", "context", "chunks", "head"],
  probes: ["probes", "round", "analysis", "imatrix", "text", "context", "chunks"],
  evaluation: ["candidate", "text", "context", "chunks", "kinds", "kv"],
  feedback: ["analysis", "imatrix", "calibration"],
};

const FLAGS = {
  imatrix: "--imatrix",
  exact: "--exact",
  targetRelativeSe: "--target-se",
  plan: "--plan",
  splitMaxSize: "--split-max-size",
  keepSplit: "--keep-split",
  allowRequantize: "--allow-requantize",
  feedback: "--feedback",
  calibration: "--calibration",
  text: "--text",
  context: "--context",
  chunks: "--chunks",
  head: "--head",
  probes: "--probes",
  round: "--round",
  analysis: "--analysis",
  candidate: "--candidate",
  kinds: "--kinds",
  kv: "--kv",
} as const satisfies Partial<Record<keyof StageRequest, string>>;

/** Throws UsageError for options of another stage, or where one is missing; FileError, FormatError for a document. */
export async function askStage(request: StageRequest): Promise<AskedStage> {
  const { stage = "analysis" } = request;
  for (const [name, flag] of Object.entries(FLAGS) as [keyof typeof FLAGS, string][]) {
    if (ASKED[stage].includes(name)) continue;
    const stages = SHARDED_STAGES.filter((one) => ASKED[one].includes(name)).join(" or ");
    refuseOptions({ [flag]: request[name] }, `it is of --stage ${stages}, and this is --stage ${stage}`);
  }
  return ASK[stage](request);
}

const ASK: Readonly<Record<Stage, (request: StageRequest) => AskedStage | Promise<AskedStage>>> = {
  analysis: askAnalyze,
  quantize: askQuantize,
  imatrix: askImatrix,
  probes: askProbes,
  evaluation: askEvaluation,
  feedback: askFeedback,
};

function askAnalyze({ exact, targetRelativeSe, imatrix }: StageRequest): AskedStage {
  const options: AnalysisOptions = { ...exactOf(exact), ...present({ targetRelativeSe }) };
  return { stage: "analysis", checks: { imatrix }, prepare: async () => ({ options, inputs: { imatrix } }) };
}
