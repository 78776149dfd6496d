/** The model of a run and what it was asked, checked before any work: all that can be refused is refused here. */
import type { ModelIdentity } from "../analyze/analysis.ts";
import { FormatError } from "../errors.ts";
import { ineligibleReason } from "../ggml/eligibility.ts";
import type { ModelFacts } from "../ggml/model-facts.ts";
import { readFacts } from "../gguf/facts.ts";
import { fingerprint } from "../gguf/fingerprint.ts";
import type { Model } from "../gguf/model.ts";
import { openLocalModel } from "../gguf/open.ts";
import { checkImatrix } from "../imatrix/check.ts";
import { type Imatrix, readImatrix } from "../imatrix/imatrix.ts";
import { checkBudget } from "../plan/budget-range.ts";
import { planHeaderBytes } from "../plan/predict.ts";
import { checkModel } from "../preflight/check-model.ts";
import { requireClean } from "../preflight/clean.ts";
import type { Finding, FindingCode } from "../preflight/finding-codes.ts";
import { checkArchitecture, checkSource } from "../quantize/source.ts";
import { describeAsked } from "./asked.ts";
import { checkBaselines } from "./baselines.ts";
import { chooseMeasures, type Measures } from "./measures.ts";
import type { RunAsked } from "./run-document.ts";
import type { RunOptions } from "./run-options.ts";

export interface RunSource {
  readonly asked: RunAsked;
  readonly imatrix?: Imatrix;
  /** Where the model lies now; a resumed analysis may have read it elsewhere. */
  readonly lies: Pick<ModelIdentity, "path" | "shards">;
  /** Tokens the model was trained with. */
  readonly contextTrain: number;
  readonly measures: Measures;
  /** Weights of each tensor that is quantized. */
  readonly weights: readonly number[];
  /** What preflight finds to be wrong. */
  readonly warnings: readonly string[];
}

/** Throws FileError, FormatError and UsageError: a damaged or quantized model, another model's imatrix, a baseline that can't be. */
export async function openSource(options: RunOptions): Promise<RunSource> {
  const file = await openLocalModel(options.model);
  try {
    const { model } = file;
    const facts = readFacts(model);
    const findings = await checkModel(file, options.signal === undefined ? {} : { signal: options.signal });
    checkSource(model, undefined, options.allowRequantize ?? false);
    checkEvaluable(model.path, findings);
    checkArchitecture(model, options.engine.info);
    if (options.strict) requireClean(model.path, findings);
    const imatrix = options.imatrix === undefined ? undefined : await readImatrix(options.imatrix);
    if (imatrix !== undefined) checkImatrix(imatrix, model);
    checkBaselines(options.baselines, model, facts, imatrix);
    checkBudgets(options, model, facts, imatrix);
    const measures = chooseMeasures(model, options.engine.info, options);
    return {
      asked: await describeAsked(options, await fingerprint(file), imatrix?.sha256),
      ...(imatrix === undefined ? {} : { imatrix }),
      lies: { path: model.path, shards: model.shards.map(({ path }) => path) },
      contextTrain: facts.contextTrain,
      measures,
      weights: model.tensors.filter((tensor) => ineligibleReason(tensor) === undefined).map(({ elements }) => elements),
      // what is quantized already, the plan says itself
      warnings: [
        ...findings
          .filter(({ severity, code }) => severity !== "info" && code !== "already-quantized")
          .map(({ message, remedy }) => `${message}; ${remedy}`),
        ...(measures.warnings ?? []),
      ],
    };
  } finally {
    await file.close();
  }
}

/** Refuse a budget that no plan could fit. A pin may ask for smaller types than a plan would choose. */
function checkBudgets(
  { budget, target, sweep = [], constraints = [] }: RunOptions,
  { tensors }: Model,
  facts: ModelFacts,
  imatrix: Imatrix | undefined,
): void {
  if (constraints.some(({ kind }) => kind === "pin")) return;
  const headerBytes = planHeaderBytes({ facts, ...(imatrix === undefined ? {} : { imatrix }) });
  const has = (name: string) => imatrix?.importance.has(name) ?? false;
  const model = { facts, headerBytes, tensors, ...(imatrix === undefined ? {} : { hasImportance: has }) };
  for (const asked of [...sweep, ...(target === undefined ? [budget] : [])]) checkBudget(asked, model);
}

/** Findings that mean llama.cpp can't compute a token's probability. */
const NOT_EVALUABLE: ReadonlySet<FindingCode> = new Set(["no-architecture", "token-embd-missing", "tokenizer-missing"]);

function checkEvaluable(path: string, findings: readonly Finding[]): void {
  const finding = findings.find(({ code }) => NOT_EVALUABLE.has(code));
  if (finding === undefined) return;
  throw new FormatError(
    path,
    `${finding.message}; ${finding.remedy}. A run evaluates what it makes; to plan and quantize only: prism plan, prism quantize`,
  );
}
