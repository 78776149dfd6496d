/** What a stage of a campaign is asked: its options, the files that go into the campaign, and what its model must stand. */
import type { Bench } from "../bench.ts";
import { requireLocal } from "../bytes/remote-name.ts";
import { UsageError } from "../errors.ts";
import { calibrationFiles, OWN_TEXT } from "../feedback/calibration-text.ts";
import { checkFeedbackChoice } from "../feedback/check-calibration.ts";
import { noteFeedback } from "../feedback/feedback.ts";
import { calibrationOfParts } from "../feedback/part-codes.ts";
import type { OpenModel } from "../gguf/model.ts";
import type { CheckRequest } from "../intake/checked-model.ts";
import { present } from "../present.ts";
import { parseSplitSize } from "../quantize/split-file.ts";
import type { CampaignRequest } from "../shard/campaign.ts";
import type { StageId } from "../shard/campaign-document.ts";
import { idsInput } from "../shard/campaign-tokens.ts";
import type { AnalysisOptions } from "../shard/stages/analysis.ts";
import type { QuantizeOptions } from "../shard/stages/quantize.ts";
import { OWN_INPUT } from "../shard/stages/quantize-codes.ts";
import type { EvaluateModelsRequest } from "./evaluate.ts";
import { refuseOptions } from "./given-option.ts";
import { loadPlan } from "./load-document.ts";
import { type Exact, exactOf } from "./planning-request.ts";
import { askEvaluation } from "./shard-evaluation.ts";
import { askProbes } from "./shard-probes.ts";
import { askImatrix } from "./shard-texts.ts";

/** Stages that prism shard plans. */
export const SHARDED_STAGES = [
  "analysis",
  "quantize",
  "imatrix",
  "probes",
  "evaluation",
] as const satisfies readonly StageId[];

export interface StageRequest {
  /** By default the analysis. */
  readonly stage?: (typeof SHARDED_STAGES)[number] | undefined;
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

/** Throws UsageError for options of another stage, or where one is missing; FileError, FormatError for a plan. */
export async function askStage(request: StageRequest): Promise<AskedStage> {
  const {
    stage = "analysis",
    imatrix,
    exact,
    targetRelativeSe,
    plan,
    splitMaxSize,
    keepSplit,
    allowRequantize,
    feedback,
    calibration,
    text,
    context,
    chunks,
    head,
    probes,
    round,
    analysis,
    candidate,
    kinds,
    kv,
  } = request;
  const ofAnalysis = { "--exact": exact, "--target-se": targetRelativeSe };
  const ofQuantize = {
    "--plan": plan,
    "--split-max-size": splitMaxSize,
    "--keep-split": keepSplit,
    "--allow-requantize": allowRequantize,
    "--feedback": feedback,
    "--calibration": calibration,
  };
  const ofTexts = { "--text": text, "--context": context, "--chunks": chunks };
  const ofImatrix = { "--head": head };
  const ofProbes = { "--probes": probes, "--round": round, "--analysis": analysis };
  const ofEvaluation = { "--candidate": candidate, "--kinds": kinds, "--kv": kv };
  if (stage === "evaluation") {
    const others = { ...ofAnalysis, "--imatrix": imatrix, ...ofQuantize, ...ofImatrix, ...ofProbes };
    refuseOptions(others, "--stage evaluation has it not");
    return askEvaluation(request);
  }
  refuseOptions(ofEvaluation, "it is of --stage evaluation");
  if (stage === "probes") {
    refuseOptions({ ...ofAnalysis, ...ofQuantize, ...ofImatrix }, "--stage probes has it not");
    return askProbes(request);
  }
  refuseOptions(ofProbes, "it is of --stage probes");
  if (stage === "imatrix") {
    refuseOptions({ ...ofAnalysis, "--imatrix": imatrix, ...ofQuantize }, "--stage imatrix makes one of a text");
    return askImatrix(request);
  }
  refuseOptions({ ...ofTexts, ...ofImatrix }, `--stage ${stage} reads no text`);
  if (stage === "quantize") {
    refuseOptions(ofAnalysis, "--stage quantize measures nothing");
    return askQuantize(request);
  }
  refuseOptions(ofQuantize, "they are of --stage quantize");
  const options: AnalysisOptions = { ...exactOf(exact), ...present({ targetRelativeSe }) };
  return { stage, checks: { imatrix }, prepare: async () => ({ options, inputs: { imatrix } }) };
}

async function askQuantize({
  plan: path,
  imatrix,
  splitMaxSize,
  keepSplit = false,
  allowRequantize = false,
  feedback = false,
  calibration = [],
}: StageRequest): Promise<AskedStage> {
  if (path === undefined) {
    throw new UsageError("--stage quantize: name the plan of the file with --plan plan.json (prism plan makes it)");
  }
  const plan = await loadPlan(path);
  const typeOf = new Map(plan.tensors.map(({ name, type }) => [name, type]));
  const texts = Object.fromEntries(calibrationFiles(calibration).map((file, at) => [`calibration-${at}`, file]));
  const names = [...Object.keys(texts), ...(calibration.includes(OWN_TEXT) ? [OWN_TEXT] : [])];
  const options: QuantizeOptions = {
    types: Object.fromEntries(typeOf),
    allowRequantize,
    keepSplit,
    ...present({ splitMaxBytes: parseSplitSize(splitMaxSize) }),
    ...(feedback ? { feedback: { calibration: names } } : {}),
  };
  return {
    stage: "quantize",
    async prepare(source, bench) {
      checkFeedbackChoice({ feedback, calibration }, bench);
      noteFeedback(plan, feedback, bench);
      const inputs = { plan: path, imatrix: imatrix ?? plan.imatrix?.path };
      if (!feedback) return { options, inputs };
      requireLocal(source.path, "leave --feedback out: it decodes text with all of the model");
      const own = await calibrationOfParts(source, { calibration }, bench);
      const sampled = own && idsInput(own, "sampled from the model");
      return { options, inputs: { ...inputs, ...texts, [OWN_INPUT]: sampled } };
    },
    checks: {
      ignored: ["already-quantized"],
      quantize: { byTensors: true, allowRequantize, types: typeOf, headerHash: plan.source.headerHash },
    },
  };
}
