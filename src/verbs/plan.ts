/** A model or its analysis + what is asked → Plan: solved, of the types of another file, or of types that a person edited. */
import type { Analysis } from "../analyze/analysis.ts";
import type { BenchOpener } from "../bench.ts";
import { isRemote, shownName } from "../bytes/remote-name.ts";
import { UsageError } from "../errors.ts";
import { withoutFeedback } from "../feedback/feedback-gains.ts";
import { type FileType, parseFileType } from "../ggml/file-types.ts";
import type { OpenModel } from "../gguf/model.ts";
import { checkedModel } from "../intake/checked-model.ts";
import type { BudgetRequest } from "../plan/budget.ts";
import { makePlan } from "../plan/make-plan.ts";
import type { Constraint, Plan } from "../plan/plan.ts";
import { checkFits } from "../plan/plan-from-recipe.ts";
import { planFromTemplate } from "../plan/plan-from-template.ts";
import { recostPlan } from "../plan/recost.ts";
import { type Template, templateTypes } from "../plan/template.ts";
import { type AnalyzeModelRequest, analyzeModel } from "./analyze.ts";
import { offeredTypes } from "./fast-types.ts";
import { fitVram } from "./fit-vram.ts";
import { isJson, loadAnalysis, loadPlan } from "./load-document.ts";
import { loadTemplate } from "./load-template.ts";
import {
  constraintsOf,
  loadSensitivity,
  modeOf,
  type PlanningRequest,
  requireBudget,
  typesOf,
} from "./planning-request.ts";

export interface PlanRequest extends PlanningRequest {
  /** Take the types of this plan as they were edited by hand, and price them anew. */
  readonly from?: string | undefined;
  /** Count with what error feedback leaves of each distortion. */
  readonly feedback?: boolean | undefined;
  /** Text it is calibrated on, a file a kind. */
  readonly calibration?: readonly string[] | undefined;
  /** Take the types of this file: a GGUF (of any place), a plan, a recipe, or PATTERN=TYPE lines. */
  readonly template?: string | undefined;
  /** The preset that gives the tensors their types which the template doesn't name. */
  readonly base?: string | undefined;
  /** The same as `template`. */
  readonly recipe?: string | undefined;
}

/** What a plan is made of: the name of a model or of an analysis, or an analysis. */
export type PlanSource = string | Analysis;

/**
 * Make a plan. A request that is wrong in itself is refused before any file is looked at, and everything else that can be
 * before the analysis.
 */
export async function plan(
  source: PlanSource | undefined,
  request: PlanRequest,
  bench: BenchOpener,
  note: (text: string) => void,
): Promise<Plan> {
  checkPlanRequest(source, request);
  const { from } = request;
  const template = templateOf(request);
  if (from !== undefined) return planFromEdited(from, source, request, bench);
  if (source === undefined) throw noSource();
  if (template !== undefined) return planFromOther(template, source, request, bench, note);
  const mode = modeOf(request);
  const types = await offeredTypes(request, bench);
  const { budget, constraints } = await budgetFor(source, { ...request, types }, bench);
  const sensitivity = await loadSensitivity(request, bench);
  // a pin may ask for smaller types than a plan would choose
  const budgets = constraints.some(({ kind }) => kind === "pin") ? [] : [budget];
  const analysis = await analysisOf(source, { ...request, budgets, types }, bench);
  return makePlan({
    analysis,
    sensitivity: sensitivity.of(analysis),
    budget,
    mode,
    constraints,
    guards: request.guards,
    types,
  });
}

/** The budget, and the constraints that come with it. */
async function budgetFor(
  source: PlanSource,
  request: PlanRequest,
  bench: BenchOpener,
): Promise<{ budget: BudgetRequest; constraints: readonly Constraint[] }> {
  const asked = requireBudget(request);
  const constraints = constraintsOf(request);
  if (asked.kind !== "vram") return { budget: asked, constraints };
  const analysis = typeof source === "string" && !(await isJson(source)) ? undefined : await readAnalysisOf(source);
  const model = analysis?.model.path ?? (source as string);
  const weighted = analysis === undefined ? request.imatrix !== undefined : analysis.imatrix !== undefined;
  const planning = { constraints, types: typesOf(request), hasImportance: weighted ? () => true : undefined };
  const { budget, floors } = await fitVram(model, asked, planning, bench);
  return { budget, constraints: [...constraints, ...floors] };
}

async function readAnalysisOf(source: PlanSource): Promise<Analysis> {
  return typeof source === "string" ? loadAnalysis(source) : source;
}

/** Refuse a request that is wrong in itself. Throws UsageError. */
export function checkPlanRequest(source: PlanSource | undefined, request: PlanRequest): void {
  const { from } = request;
  const template = templateOf(request);
  if (from !== undefined && template !== undefined) {
    throw new UsageError(`--from and ${template.option}: both say the types; leave one out`);
  }
  if (request.base !== undefined && template === undefined) {
    throw new UsageError("--base says what a --template leaves open; give one, or a budget with --like instead");
  }
  baseOf(request);
  if (from !== undefined) return;
  if (source === undefined) throw noSource();
  if (template !== undefined) {
    refuseChoices(
      request,
      `${template.option} takes the types of ${template.option === "--recipe" ? "the recipe" : "that file"}`,
    );
    return;
  }
  requireBudget(request);
  modeOf(request);
  constraintsOf(request);
  typesOf(request);
}

function noSource(): UsageError {
  return new UsageError("name the model or its analysis: prism plan MODEL.gguf --like Q3_K_M");
}

/** Price the edited plan at `path` anew, with measurements from `source` where one is given. */
async function planFromEdited(
  path: string,
  source: PlanSource | undefined,
  request: PlanRequest,
  bench: BenchOpener,
): Promise<Plan> {
  refuseChoices(request, "--from takes the types as they were edited");
  if (request.feedback === true) {
    throw new UsageError(
      "--feedback: --from prices as the plan was made, with feedback or without; leave --feedback out",
    );
  }
  const edited = await loadPlan(path);
  const feedback = edited.feedback !== undefined;
  return source === undefined
    ? edited
    : recostPlan(edited, await analysisOf(source, { ...request, types: undefined, feedback }, bench));
}

/** Put the types of the file at `path` on the model or analysis at `source`. */
async function planFromOther(
  { option, path }: NamedTemplate,
  source: PlanSource,
  request: PlanRequest,
  bench: BenchOpener,
  note: (text: string) => void,
): Promise<Plan> {
  const template = await loadTemplate(path, bench);
  const base = baseOf(request);
  if (base !== undefined && template.kind === "recipe") {
    throw new UsageError(
      `--base ${base}: the recipe says its own, ${template.recipe.command.baseFileType}; leave it out`,
    );
  }
  const sensitivity = await loadSensitivity(request, bench);
  if (typeof source === "string" && !(await isJson(source))) {
    const { model } = await checkedModel(source, { forceFindings: request.forceFindings }, await bench());
    await model.close();
    holdAgainst(template, model, base);
  }
  const analysis = await analysisOf(source, { ...request, types: undefined }, bench);
  const text = `${option} ${shownName(path)}`;
  const made = planFromTemplate({ analysis, template, base, sensitivity: sensitivity.of(analysis), text });
  for (const remark of made.remarks) note(`! ${remark}`);
  return made.plan;
}

/** What doesn't fit is refused by the header: nothing is analysed for it. */
function holdAgainst(template: Template, { model, facts }: OpenModel, base: FileType | undefined): void {
  if (template.kind === "recipe") checkFits(template.recipe, model);
  else templateTypes(template, { facts, tensors: model.tensors }, { base });
}

interface NamedTemplate {
  /** As it was asked for. */
  readonly option: "--template" | "--recipe";
  readonly path: string;
}

function templateOf({ template, recipe }: PlanRequest): NamedTemplate | undefined {
  if (template !== undefined && recipe !== undefined) {
    throw new UsageError("--recipe is another name of --template; give one of them");
  }
  if (template !== undefined) return { option: "--template", path: template };
  return recipe === undefined ? undefined : { option: "--recipe", path: recipe };
}

function baseOf({ base }: PlanRequest): FileType | undefined {
  if (base === undefined) return undefined;
  const preset = parseFileType(base);
  if (preset !== undefined) return preset;
  throw new UsageError(`--base ${base}: not a preset of llama-quantize; give one like Q4_K_M`);
}

/** Refuse what asks for other types than those given. */
function refuseChoices(request: PlanRequest, because: string): void {
  const unused = (["bpw", "size", "like", "vram", "pin", "floor", "ban", "tie", "types"] as const).find(
    (option) => request[option],
  );
  if (request.preferSpeed) throw new UsageError(`--prefer-speed: ${because}; leave --prefer-speed out`);
  if (unused !== undefined) throw new UsageError(`--${unused}: ${because}; leave --${unused} out`);
}

async function analysisOf(
  source: PlanSource,
  request: Omit<PlanRequest, "types"> & Pick<AnalyzeModelRequest, "budgets" | "types">,
  bench: BenchOpener,
): Promise<Analysis> {
  const { imatrix, exact, strict, forceFindings, budgets, feedback, calibration, types } = request;
  if (typeof source === "string" && !(await isJson(source))) {
    const opened = await bench();
    if (imatrix === undefined) {
      const where = isRemote(source) ? ", once it is downloaded," : "";
      opened.progress.note(
        `no importance matrix: with one the same bytes lose less; prism imatrix MODEL${where} makes one, for --imatrix`,
      );
    }
    return analyzeModel(
      source,
      { imatrix, exact, strict, forceFindings, budgets, feedback, calibration, types },
      opened,
    );
  }
  if (imatrix !== undefined) {
    throw new UsageError("--imatrix: the analysis says what its imatrix was; give it to prism analyze");
  }
  if (exact !== undefined) {
    throw new UsageError("--exact: the analysis is made already; give it to prism analyze");
  }
  if (calibration !== undefined) {
    throw new UsageError("--calibration: the analysis says what feedback was measured on; give it to prism analyze");
  }
  const analysis = await readAnalysisOf(source);
  // a recipe is carried out by llama-quantize, unless it is said otherwise
  if (feedback !== true) return withoutFeedback(analysis);
  // an edited plan keeps what it knows
  if (analysis.feedback !== undefined || request.from !== undefined) return analysis;
  throw new UsageError("--feedback: the analysis doesn't say what it leaves; give it to prism analyze");
}
