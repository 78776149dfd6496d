/**
 * PRISM as a library: the stages of the command line, each a function from one document to the next.
 * openModel → analyze → makePlan → renderRecipe or quantize → evaluate; run does all of it, with controls.
 */
export { allocate } from "./allocate/allocate.ts";
export { parseBpw, parseSize } from "./allocate/budget.ts";
export { parseConstraint } from "./allocate/patterns.ts";
export type { Assignment, Constraint, Item, Option, Problem } from "./allocate/problem.ts";
export type { Analysis, ClassSummary, Estimate, Metrics, TensorAnalysis } from "./analyze/analysis.ts";
export { readAnalysis } from "./analyze/analysis-document.ts";
export { type AnalyzeOptions, analyze } from "./analyze/analyze.ts";
export type { HttpOptions } from "./bytes/http-source.ts";
export { DOCUMENT_KINDS } from "./document-kinds.ts";
export type { Engine, EngineInfo } from "./engine/engine.ts";
export { type OpenEngineOptions, openEngine } from "./engine/open-engine.ts";
export {
  BackendError,
  EngineError,
  FileError,
  FormatError,
  GateError,
  InfeasibleError,
  InterruptedError,
  PrismError,
  UsageError,
} from "./errors.ts";
export { evaluate } from "./evaluate/evaluate.ts";
export type { EvaluateOptions } from "./evaluate/evaluate-options.ts";
export type { Evaluation, ModelEvaluation, RankedModel, RerankEvaluation } from "./evaluate/evaluation.ts";
export { readEvaluation } from "./evaluate/read-evaluation.ts";
export type { RerankResult } from "./evaluate/rerank-result.ts";
export { type FileType, parseFileType } from "./ggml/file-types.ts";
export type { ModelFacts } from "./ggml/model-facts.ts";
export { type StockOptions, stockTypes } from "./ggml/stock-mix.ts";
export { parseTensorType, type TensorType } from "./ggml/tensor-types.ts";
export { readFacts } from "./gguf/facts.ts";
export type { Model, ModelFile, TensorInfo } from "./gguf/model.ts";
export { openModel } from "./gguf/open.ts";
export { type Imatrix, readImatrix } from "./imatrix/imatrix.ts";
export type { Backend } from "./kernels/backend.ts";
export { type NativeOptions, nativeBackend, nativeBackendProblem } from "./kernels/native.ts";
export { type ReferenceOptions, referenceBackend } from "./kernels/reference.ts";
export type { BudgetRequest } from "./plan/budget.ts";
export { diffPlans, type PlanDiff } from "./plan/diff.ts";
export { type Explanation, explainTensor } from "./plan/explain.ts";
export { makePlan, type PlanOptions } from "./plan/make-plan.ts";
export type { Plan, PlanTensor, Reason } from "./plan/plan.ts";
export { readPlan } from "./plan/read-plan.ts";
export { type RecipeFile, renderRecipe } from "./plan/recipe.ts";
export { recostPlan } from "./plan/recost.ts";
export type { Finding } from "./preflight/finding-codes.ts";
export { inspect } from "./preflight/inspect.ts";
export type { Inspection } from "./preflight/inspection.ts";
export { preflight } from "./preflight/preflight.ts";
export { planImatrix, planSpec } from "./quantize/plan-spec.ts";
export { type QuantizedFile, type QuantizeOptions, type QuantizeSpec, quantize } from "./quantize/quantize.ts";
export { evaluateRerank, type RerankSessionOptions } from "./rerank/rerank.ts";
export { type RunOptions, run } from "./run/run.ts";
export type { Run, RunRow } from "./run/run-document.ts";
export { parseRun } from "./run/run-state.ts";
export { parseDensities, sensitivityFromDensities } from "./sensitivity/density-document.ts";
export { prismSensitivity, type Sensitivity, uniformSensitivity } from "./sensitivity/sensitivity.ts";
export { parseSensitivity } from "./sensitivity/sensitivity-modes.ts";
export { parsePrior, priorSensitivity, sensitivityFromPrior } from "./sensitivity/sensitivity-prior.ts";
export { blendSensitivity, stockSensitivity } from "./sensitivity/sensitivity-stock.ts";
export { PRISM_VERSION } from "./version.ts";
