/** Model or analysis + what was asked on the command line → Plan. */
import { parseConstraint } from "../allocate/patterns.ts";
import type { Constraint } from "../allocate/problem.ts";
import type { Analysis } from "../analyze/analysis.ts";
import { readDocumentText } from "../documents/document-file.ts";
import { UsageError } from "../errors.ts";
import { readFacts } from "../gguf/facts.ts";
import type { Model } from "../gguf/model.ts";
import { readImatrix } from "../imatrix/imatrix.ts";
import { type BudgetRequest, budgetFrom } from "../plan/budget.ts";
import { checkBudget } from "../plan/budget-range.ts";
import type { Guard } from "../plan/guards.ts";
import { makePlan } from "../plan/make-plan.ts";
import type { Plan } from "../plan/plan.ts";
import { checkFits, idleOverrides, planFromRecipe } from "../plan/plan-from-recipe.ts";
import { planHeaderBytes } from "../plan/predict.ts";
import { printable } from "../plan/printable.ts";
import { recostPlan } from "../plan/recost.ts";
import type { SensitivityMode } from "../sensitivity/sensitivity.ts";
import { parseSensitivity, parseSensitivityFile } from "../sensitivity/sensitivity-modes.ts";
import { analyzeModel } from "./analyze-model.ts";
import type { CommandContext } from "./context.ts";
import { openNamedModel } from "./open-named-model.ts";
import type { Exact } from "./options.ts";
import type { Output } from "./output.ts";
import { isJson, loadAnalysis, loadPlan, loadRecipe } from "./read-document.ts";

export interface PlanRequest {
  readonly bpw?: string;
  readonly size?: string;
  readonly like?: string;
  readonly mode: string;
  readonly sensitivity: string;
  readonly pin?: readonly string[];
  readonly floor?: readonly string[];
  readonly ban?: readonly string[];
  readonly tie?: readonly string[];
  /** commander's names for --no-guards, --no-head-guard and so on. */
  readonly guards: boolean;
  readonly headGuard: boolean;
  readonly noiseGuard: boolean;
  readonly smallGuard: boolean;
  readonly mtpGuard: boolean;
  readonly imatrix?: string;
  readonly threads: number;
  readonly backend: string;
  readonly seed: number;
  /** commander's name for --no-cache. */
  readonly cache: boolean;
  readonly exact?: Exact;
  readonly memory: number;
  readonly strict?: boolean;
}

/** Plan the model or analysis at `source`. Everything that can be wrong in the request is checked before the analysis. */
export async function planModel(
  source: string,
  request: PlanRequest,
  context: CommandContext,
  output: Output,
): Promise<Plan> {
  const budget = parseBudget(request);
  const mode = parseMode(request.mode);
  const constraints = parseConstraints(request);
  const sensitivity = await loadSensitivity(request.sensitivity);
  if (!(await isJson(source))) await checkPossible(source, budget, constraints, request, context, output);
  const analysis = await analysisOf(source, request, context, output);
  return makePlan({
    analysis,
    sensitivity: sensitivity(analysis),
    budget,
    mode,
    constraints,
    guards: guardSwitches(request),
  });
}

/** Price the edited plan at `path` anew, with measurements from `source` where one is given. */
export async function planFromEdited(
  path: string,
  source: string | undefined,
  request: PlanRequest,
  context: CommandContext,
  output: Output,
): Promise<Plan> {
  refuseChoices(request, "--from takes the types as they were edited");
  const plan = await loadPlan(path);
  if (source === undefined) return plan;
  return recostPlan(plan, await analysisOf(source, request, context, output));
}

/** Apply the published recipe at `path` to the model or analysis at `source`. */
export async function planFromPublished(
  path: string,
  source: string,
  request: PlanRequest,
  context: CommandContext,
  output: Output,
): Promise<Plan> {
  refuseChoices(request, "--recipe takes the types of the recipe");
  const recipe = await loadRecipe(path);
  const sensitivity = await loadSensitivity(request.sensitivity);
  if (!(await isJson(source))) checkFits(recipe, await readModel(source, request, context, output));
  const analysis = await analysisOf(source, request, context, output);
  const options = { analysis, recipe, sensitivity: sensitivity(analysis), text: `--recipe ${path}` };
  const plan = planFromRecipe(options);
  for (const { pattern } of idleOverrides(recipe, analysis)) {
    output.note(`! no tensor of this model matches the recipe's ${printable(pattern)}`);
  }
  return plan;
}

/** Refuse a budget that no plan could fit before the model is analysed for it. */
async function checkPossible(
  source: string,
  budget: BudgetRequest,
  constraints: readonly Constraint[],
  request: PlanRequest,
  context: CommandContext,
  output: Output,
): Promise<void> {
  // a pin may ask for smaller types than a plan would choose
  if (constraints.some(({ kind }) => kind === "pin")) return;
  const model = await readModel(source, request, context, output);
  const imatrix = request.imatrix === undefined ? undefined : await readImatrix(request.imatrix);
  const facts = readFacts(model);
  checkBudget(budget, {
    facts,
    headerBytes: planHeaderBytes({ facts, ...(imatrix === undefined ? {} : { imatrix }) }),
    tensors: model.tensors,
    ...(imatrix === undefined ? {} : { hasImportance: (name: string) => imatrix.importance.has(name) }),
  });
}

async function readModel(
  path: string,
  { cache }: PlanRequest,
  context: CommandContext,
  output: Output,
): Promise<Model> {
  const { file } = await openNamedModel(path, cache, context, output);
  await file.close();
  return file.model;
}

/** Refuse what asks for other types than those given. */
function refuseChoices(request: PlanRequest, because: string): void {
  const unused = (["bpw", "size", "like", "pin", "floor", "ban", "tie"] as const).find((option) => request[option]);
  if (unused !== undefined) throw new UsageError(`--${unused}: ${because}; leave --${unused} out`);
}

async function analysisOf(
  source: string,
  { threads, backend, seed, imatrix, cache, memory, exact, strict = false }: PlanRequest,
  context: CommandContext,
  output: Output,
): Promise<Analysis> {
  if (!(await isJson(source))) {
    return analyzeModel(
      source,
      {
        threads,
        backend,
        seed,
        cache,
        strict,
        memoryBytes: memory,
        ...exact,
        ...(imatrix === undefined ? {} : { imatrix }),
      },
      context,
      output,
    );
  }
  if (imatrix !== undefined) {
    throw new UsageError("--imatrix: the analysis says what its imatrix was; give it to prism analyze");
  }
  if (exact !== undefined) {
    throw new UsageError("--exact: the analysis is made already; give it to prism analyze");
  }
  return loadAnalysis(source);
}

export function parseBudget({ bpw, size, like }: PlanRequest): BudgetRequest {
  const given = Object.entries({ bpw, size, like }).filter(([, value]) => value !== undefined);
  if (given.length === 0) {
    throw new UsageError("a budget is needed: --bpw 3.5, --size 4.3GB, or --like Q3_K_M");
  }
  if (given.length > 1) {
    const options = given.map(([name, value]) => `--${name} ${value}`);
    throw new UsageError(`${options.join(" and ")}: expected one budget, got ${given.length}; drop all but one`);
  }
  const [[option, value]] = given as [["bpw" | "size" | "like", string]];
  return budgetFrom(option, value);
}

/** Which guards the command line leaves on. */
export function guardSwitches({ guards, ...each }: PlanRequest): Record<Guard, boolean> {
  return {
    head: guards && each.headGuard,
    noise: guards && each.noiseGuard,
    small: guards && each.smallGuard,
    mtp: guards && each.mtpGuard,
  };
}

export function parseMode(mode: string): "tensor" | "class" {
  if (mode === "tensor" || mode === "class") return mode;
  throw new UsageError(`--mode ${mode}: expected tensor or class`);
}

export function parseConstraints(request: PlanRequest): Constraint[] {
  return (["pin", "floor", "ban", "tie"] as const).flatMap((kind) =>
    (request[kind] ?? []).map((text) => parseConstraint(kind, text)),
  );
}

export async function loadSensitivity(mode: string): Promise<SensitivityMode> {
  if (!/[./\\]/.test(mode)) return parseSensitivity(mode);
  return parseSensitivityFile(mode, await readDocumentText(mode));
}
