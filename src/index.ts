/**
 * PRISM as a library: what the command line can do, a program can. A bench is opened once; a verb is
 * verb(model or document, request, bench). docs/library.md shows each; documents are plain JSON with schemas in plans/.
 */

// what works on documents alone
export { allocate } from "./allocate/allocate.ts";
export { parseBpw, parseSize } from "./allocate/budget.ts";
export { parseConstraint } from "./allocate/patterns.ts";
export type { Assignment, Constraint, Item, Option, Problem } from "./allocate/problem.ts";
// the documents
export type { Analysis, ClassSummary, Estimate, Metrics, TensorAnalysis } from "./analyze/analysis.ts";
export { readAnalysis } from "./analyze/analysis-document.ts";
// the bench
export type { Bench, BenchCache, Progress } from "./bench.ts";
export { SILENT } from "./bench.ts";
// models as they are opened
export type { HttpOptions } from "./bytes/http-source.ts";
export { DOCUMENT_KINDS } from "./document-kinds.ts";
export type { Engine, EngineInfo, Library, Programs } from "./engine/engine.ts";
export {
  BackendError,
  EngineError,
  FileError,
  FormatError,
  GateError,
  InfeasibleError,
  PrismError,
  UsageError,
} from "./errors.ts";
export type {
  EmbeddedModel,
  EmbeddingEvaluation,
  Evaluation,
  ModelEvaluation,
  RankedModel,
  RerankEvaluation,
} from "./evaluate/evaluation.ts";
export { readEvaluation } from "./evaluate/read-evaluation.ts";
export type { RerankResult } from "./evaluate/rerank-result.ts";
export type { FeedbackOutcome } from "./feedback/feedback.ts";
export { type FileType, parseFileType } from "./ggml/file-types.ts";
export type { ModelFacts } from "./ggml/model-facts.ts";
export { type StockOptions, stockTypes } from "./ggml/stock-mix.ts";
export { parseTensorType, type TensorType } from "./ggml/tensor-types.ts";
export type { Model, ModelFile, OpenModel, TensorInfo } from "./gguf/model.ts";
export { openModel } from "./gguf/open.ts";
export { type Imatrix, readImatrix } from "./imatrix/imatrix.ts";
export type { Backend, ProcessorOptions } from "./kernels/backend.ts";
// the verbs
export {
  addToPrior,
  analyze,
  card,
  evaluate,
  exportFiles,
  imatrix,
  inspect,
  openBench,
  plan,
  quantize,
  repair,
  report,
  run,
  serve,
  upload,
} from "./library/verbs.ts";
export { ALL_LAYERS, BENCH_DEFAULTS, type BenchOptions, type OpenedBench } from "./open-bench.ts";
export { type BudgetRequest, budgetFrom } from "./plan/budget.ts";
export { diffPlans, type PlanDiff } from "./plan/diff.ts";
export { type Explanation, explainTensor } from "./plan/explain.ts";
export { makePlan, type PlanOptions } from "./plan/make-plan.ts";
export type { Plan, PlanTensor, Reason } from "./plan/plan.ts";
export { readPlan } from "./plan/read-plan.ts";
export { type RecipeFile, renderRecipe } from "./plan/recipe.ts";
export { recostPlan } from "./plan/recost.ts";
export type { Finding } from "./preflight/finding-codes.ts";
export type { Inspection } from "./preflight/inspection.ts";
export type { Run, RunRow } from "./run/run-document.ts";
export { parseRun } from "./run/run-state.ts";
export { parseDensities, sensitivityFromDensities } from "./sensitivity/density-document.ts";
export { serializePrior } from "./sensitivity/grow-prior.ts";
export { prismSensitivity, type Sensitivity, uniformSensitivity } from "./sensitivity/sensitivity.ts";
export { parseSensitivity } from "./sensitivity/sensitivity-modes.ts";
export { type Prior, parsePrior, priorSensitivity, sensitivityFromPrior } from "./sensitivity/sensitivity-prior.ts";
export { blendSensitivity, stockSensitivity } from "./sensitivity/sensitivity-stock.ts";
export type { AnalyzeModelRequest } from "./verbs/analyze.ts";
export type { EvaluateModelsRequest } from "./verbs/evaluate.ts";
export type { ImatrixFile, ImatrixFileRequest } from "./verbs/imatrix.ts";
export type { InspectedModel, InspectRequest } from "./verbs/inspect.ts";
export type { PlanRequest, PlanSource } from "./verbs/plan.ts";
export type { BudgetChoice, Exact, PlanningRequest } from "./verbs/planning-request.ts";
export type { QuantizedPlan, QuantizePlanRequest } from "./verbs/quantize.ts";
export type { RepairedModel, RepairRequest } from "./verbs/repair.ts";
export type { CardRequest, ExportRequest, ReportRequest, WrittenReport } from "./verbs/report.ts";
export type { FinishedRun, RunModelRequest } from "./verbs/run.ts";
export { type RunningServer, SERVE_DEFAULTS, type ServeRequest } from "./verbs/serve.ts";
export type { QualityRequest } from "./verbs/sweep-request.ts";
export type { UploadRequest, UploadResult } from "./verbs/upload.ts";
export { PRISM_VERSION } from "./version.ts";
