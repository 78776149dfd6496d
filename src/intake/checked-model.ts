/**
 * The one gate to the work: whatever plans, analyzes, quantizes or runs a model opens it here, so that every check holds in
 * every command, before any time is spent. In comes a name and what is meant to be done with the model; out comes the
 * open model with its importance matrix and what is wrong with it.
 */
import type { Bench } from "../bench.ts";
import { requireLocal } from "../bytes/remote-name.ts";
import { FormatError } from "../errors.ts";
import { ineligibleReason } from "../ggml/eligibility.ts";
import type { TensorType } from "../ggml/tensor-types.ts";
import type { Model, OpenModel } from "../gguf/model.ts";
import { checkImatrix } from "../imatrix/check.ts";
import { type Imatrix, readImatrix } from "../imatrix/imatrix.ts";
import type { BudgetRequest } from "../plan/budget.ts";
import { checkBudget } from "../plan/budget-range.ts";
import { planHeaderBytes } from "../plan/predict.ts";
import { requireClean } from "../preflight/clean.ts";
import { examineModel } from "../preflight/examine-model.ts";
import type { Finding, FindingCode } from "../preflight/finding-codes.ts";
import { engineFindings } from "./engine-findings.ts";
import { type NamedModel, openNamedModel } from "./open-named-model.ts";
import { forcedNote, refuseUnloadable } from "./refuse-unloadable.ts";
import { checkArchitecture, checkHeader, checkSource } from "./source-checks.ts";

export interface CheckRequest {
  /** Refuse a model in which preflight finds errors or warnings. */
  readonly strict?: boolean | undefined;
  /** Go on with a model that llama.cpp does not load. */
  readonly forceFindings?: boolean | undefined;
  /** Path of an importance matrix. */
  readonly imatrix?: string | undefined;
  /** What an importance matrix that is made later will have values for. */
  readonly importance?: ((name: string) => boolean) | undefined;
  /** Budgets that a plan is to fit; with pins, which may ask for smaller types than a plan would choose, give none. */
  readonly budgets?: readonly BudgetRequest[] | undefined;
  /** The model is to be quantized: read as a file, by an engine that knows its architecture. */
  readonly quantize?: QuantizeIntent | undefined;
  /** Its tokens are to be predicted. */
  readonly evaluate?: boolean | undefined;
  /** Findings that don't matter here. */
  readonly ignored?: readonly FindingCode[] | undefined;
}

export interface QuantizeIntent {
  /** Its tensors are read one by one, and may be anywhere; by default llama.cpp reads the file. */
  readonly byTensors?: boolean | undefined;
  readonly allowRequantize?: boolean | undefined;
  /** The type of each tensor, where it is decided: what keeps its type is copied. */
  readonly types?: ReadonlyMap<string, TensorType> | undefined;
  /** SHA-256 of the header, where the decision was made for one model only. */
  readonly headerHash?: string | undefined;
}

export interface CheckedModel extends NamedModel {
  readonly model: OpenModel;
  readonly imatrix: Imatrix | undefined;
  readonly findings: readonly Finding[];
  /** What a person should know, in words. */
  readonly warnings: readonly string[];
  /** Findings were overruled: what is made of it need not load either. */
  readonly forced: boolean;
}

/** Findings that leave nothing to plan, and those after which llama.cpp can't compute a token's probability. */
const UNPLANNABLE: readonly FindingCode[] = ["no-architecture", "projector"];
const NOT_EVALUABLE: readonly FindingCode[] = ["no-architecture", "token-embd-missing", "tokenizer-missing"];

/**
 * Open and check a model; the caller closes it. Throws FileError, FormatError, UsageError, EngineError, InfeasibleError and, with
 * `strict`, GateError.
 */
export async function checkedModel(path: string, request: CheckRequest, bench: Bench): Promise<CheckedModel> {
  if (request.quantize !== undefined && request.quantize.byTensors !== true) requireLocal(path);
  const named = await openNamedModel(path, bench);
  try {
    const findings = await checkFindings(named.model, request, bench);
    const imatrix = request.imatrix === undefined ? undefined : await readImatrix(request.imatrix);
    if (imatrix !== undefined) checkImatrix(imatrix, named.model.model);
    for (const budget of request.budgets ?? []) checkBudget(budget, rangeOf(named.model, imatrix, request.importance));
    // what is quantized already, a plan says itself
    const said =
      request.quantize === undefined ? findings : findings.filter(({ code }) => code !== "already-quantized");
    const forced = request.forceFindings === true ? forcedNote(findings) : undefined;
    const warnings = [
      ...describeFindings(said),
      ...(forced === undefined ? [] : [forced]),
      ...foreignEntries(imatrix, named.model.model),
    ];
    return { ...named, imatrix, findings, warnings, forced: forced !== undefined };
  } catch (error) {
    await named.model.close();
    throw error;
  }
}

/** Say what is wrong with a model. */
export function noteWarnings(
  { warnings }: Pick<CheckedModel, "warnings">,
  { progress }: Pick<Bench, "progress">,
): void {
  for (const warning of warnings) progress.note(`! ${warning}`);
}

async function checkFindings(
  open: OpenModel,
  { strict = false, forceFindings = false, quantize, evaluate = false, ignored = [] }: CheckRequest,
  bench: Bench,
): Promise<Finding[]> {
  const { model } = open;
  const found = await examineModel(open, { signal: bench.signal });
  if (quantize !== undefined) {
    checkHeader(model, quantize.headerHash);
    checkSource(model, quantize.types, quantize.allowRequantize ?? false);
  }
  if (evaluate) {
    refuse(
      open,
      found,
      NOT_EVALUABLE,
      ". A run evaluates what it makes; to plan and quantize only: prism plan, prism quantize",
    );
  }
  refuse(open, found, UNPLANNABLE, "");
  if (quantize !== undefined) checkArchitecture(model, bench.engine);
  found.push(...(await engineFindings(model, found, bench)));
  const findings = found.filter(({ code }) => !ignored.includes(code));
  if (strict) requireClean(model.path, findings);
  if (!forceFindings) refuseUnloadable(model, findings, bench.engine);
  if (model.tensors.every((tensor) => ineligibleReason(tensor) !== undefined)) {
    throw new FormatError(model.path, "has no tensor that llama-quantize would quantize; see prism inspect");
  }
  return findings;
}

function refuse({ path }: OpenModel, findings: readonly Finding[], codes: readonly FindingCode[], why: string): void {
  const finding = findings.find(({ code }) => codes.includes(code));
  if (finding !== undefined) throw new FormatError(path, `${finding.message}; ${finding.remedy}${why}`);
}

function describeFindings(findings: readonly Finding[]): string[] {
  return findings.filter(({ severity }) => severity !== "info").map(({ message, remedy }) => `${message}; ${remedy}`);
}

/** Two models of one size share names and shapes: entries that this one has no tensor for give the mix-up away. */
function foreignEntries(imatrix: Imatrix | undefined, { tensors }: Model): string[] {
  if (imatrix === undefined) return [];
  const names = new Set(tensors.map(({ name }) => name));
  const foreign = [...imatrix.importance.keys()].filter((name) => !names.has(name));
  if (foreign.length === 0) return [];
  const [example = ""] = foreign;
  return [
    `${foreign.length} of the ${imatrix.entries} entries of ${imatrix.path} (${example}, ...) are for tensors this model does not have: is it of another model?`,
  ];
}

function rangeOf(
  { facts, model: { tensors } }: OpenModel,
  imatrix: Imatrix | undefined,
  importance: CheckRequest["importance"],
) {
  return {
    facts,
    headerBytes: planHeaderBytes({ facts, imatrix }),
    tensors,
    hasImportance: imatrix ? (name: string) => imatrix.importance.has(name) : importance,
  };
}
