/** The verbs as a program calls them: what the command line can do, with messages that name options instead of flags. */
import type { Analysis } from "../analyze/analysis.ts";
import { type Bench, DEFAULT_LOGITS_LIMIT_BYTES, type Progress, SILENT } from "../bench.ts";
import { defaultCacheDir } from "../disk/cache-dir.ts";
import { PrismError, UsageError } from "../errors.ts";
import type { EmbeddingEvaluation, Evaluation, RerankEvaluation } from "../evaluate/evaluation.ts";
import type { Desk } from "../intake/open-named-model.ts";
import { type BenchOptions, type OpenedBench, openBench as open } from "../open-bench.ts";
import { openExaminer } from "../open-examiner.ts";
import type { Plan } from "../plan/plan.ts";
import type { Prior } from "../sensitivity/sensitivity-prior.ts";
import { type AnalyzeModelRequest, analyzeModel } from "../verbs/analyze.ts";
import { type EvaluateModelsRequest, evaluateModels } from "../verbs/evaluate.ts";
import { type ImatrixFile, type ImatrixFileRequest, imatrix as makeImatrix } from "../verbs/imatrix.ts";
import { type InspectedModel, type InspectRequest, inspectModel } from "../verbs/inspect.ts";
import { plan as makePlan, type PlanRequest, type PlanSource } from "../verbs/plan.ts";
import { addToPrior as growPrior, type PriorRequest } from "../verbs/prior.ts";
import { type QuantizedPlan, type QuantizePlanRequest, quantizePlan } from "../verbs/quantize.ts";
import { type RepairedModel, type RepairRequest, repairModel } from "../verbs/repair.ts";
import {
  type CardRequest,
  type ExportRequest,
  exportFiles as exportPictures,
  type ReportRequest,
  type WrittenReport,
  card as writeCard,
  report as writeReport,
} from "../verbs/report.ts";
import { type FinishedRun, parseRunRequest, type RunModelRequest, runModel } from "../verbs/run.ts";
import { type RunningServer, type ServeRequest, serve as startServer } from "../verbs/serve.ts";
import { type UploadRequest, type UploadResult, upload as uploadRuns } from "../verbs/upload.ts";
import type { CardResult } from "../verbs/write-card.ts";
import { inOptionNames } from "./option-names.ts";

/** Do the work; what PRISM throws on purpose names options of the library. */
async function speaking<Result>(work: () => Promise<Result>): Promise<Result> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof PrismError) error.message = inOptionNames(error.message);
    throw error;
  }
}

/** Open a bench: the engine that is found, and what the options choose. Close it when the work is done. */
export function openBench(options: BenchOptions = {}): Promise<OpenedBench> {
  const { progress = SILENT } = options;
  const note = (text: string) => progress.note(inOptionNames(text));
  const told: Progress = {
    note,
    steps: (...step) => progress.steps(...step),
    stages: (ahead) => progress.stages?.(ahead),
    begin: (...stage) => progress.begin?.(...stage),
  };
  return speaking(() => open({ ...options, progress: told }));
}

/** What a model's header says, the exact size of every preset, and what is wrong with it; llama.cpp is asked too, where it is installed. */
export function inspect(
  model: string,
  request: InspectRequest = {},
  desk: Partial<Desk> = {},
): Promise<InspectedModel> {
  const { signal = new AbortController().signal, progress = SILENT } = desk;
  const cache = desk.cache ?? { dir: defaultCacheDir(), logitsLimitBytes: DEFAULT_LOGITS_LIMIT_BYTES };
  return speaking(() => inspectModel(model, request, { signal, progress, cache, examiner: openExaminer() }));
}

/** Write a new file in which what inspect finds wrong is mended, where it can be. */
export function repair(model: string, request: RepairRequest, bench: Bench): Promise<RepairedModel> {
  return speaking(() => repairModel(model, request, async () => bench));
}

/** Measure every tensor: the seven metrics, and the distortion of each type it could take. */
export function analyze(model: string, request: AnalyzeModelRequest, bench: Bench): Promise<Analysis> {
  return speaking(() => analyzeModel(model, request, bench));
}

/** A prior with the models that these runs have probed, for `prior` of a plan once it is written to a file. */
export function addToPrior(runs: readonly string[], request: PriorRequest = {}): Promise<Prior> {
  return speaking(() => growPrior(runs, request));
}

/** Choose a type for every tensor within a budget. An analysis needs no bench. */
export function plan(source: PlanSource | undefined, request: PlanRequest, bench?: Bench): Promise<Plan> {
  const atBench = async () => {
    if (bench !== undefined) return bench;
    throw new UsageError("planning a model that is not analysed yet needs a bench; open one with openBench()");
  };
  const note = (text: string) => bench?.progress.note(text);
  return speaking(() => makePlan(source, request, atBench, note));
}

/** Make the GGUF that a plan describes, and verify its types and bytes. */
export function quantize(plan: Plan | string, request: QuantizePlanRequest, bench: Bench): Promise<QuantizedPlan> {
  return speaking(() => quantizePlan(plan, request, bench));
}

/** Perplexity, KL divergence from a reference, how rerankers rank, and how far embeddings drift. */
export function evaluate(
  models: readonly string[],
  request: EvaluateModelsRequest,
  bench: Bench,
): Promise<Evaluation | RerankEvaluation | EmbeddingEvaluation> {
  return speaking(async () => (await evaluateModels(models, request, bench)).evaluation);
}

/** Make the importance matrix of a model, from a text or from what the model itself writes. */
export function imatrix(model: string, request: ImatrixFileRequest, bench: Bench): Promise<ImatrixFile> {
  return speaking(() => makeImatrix(model, request, bench));
}

/** Plan, quantize and evaluate into one directory, against controls. Missed gates are in the result. */
export function run(model: string, request: RunModelRequest, bench: Bench): Promise<FinishedRun> {
  return speaking(async () => runModel(model, await parseRunRequest(model, request, async () => bench), bench));
}

/** Write a run, a plan or an analysis as one HTML file. */
export function report(source: string, request: ReportRequest = {}): Promise<WrittenReport> {
  return speaking(() => writeReport(source, request));
}

/** Write the pictures and tables of a report into folders; returns the files. */
export function exportFiles(source: string, request: ExportRequest): Promise<readonly string[]> {
  return speaking(async () => (await exportPictures(source, request)).files);
}

/** Write the model card of a run, or of a family of runs. */
export function card(
  runs: readonly string[],
  request: CardRequest = {},
): Promise<CardResult & { readonly folder: string }> {
  return speaking(() => writeCard(runs, request));
}

/** Upload runs with their card to a repository of the Hub; without `yes` only say what it would upload. */
export function upload(
  runs: readonly string[],
  repository: string,
  request: UploadRequest = {},
  desk: Partial<Pick<Desk, "signal" | "progress">> = {},
): Promise<UploadResult> {
  const { signal = new AbortController().signal, progress = SILENT } = desk;
  return speaking(() => uploadRuns(runs, repository, request, { signal, progress }));
}

/** Answer /v1/rerank requests with a reranker, until close(). */
export function serve(model: string, request: ServeRequest, bench: Bench): Promise<RunningServer> {
  return speaking(() => startServer(model, request, bench));
}
