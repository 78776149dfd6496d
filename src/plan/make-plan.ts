/**
 * Analysis + sensitivity + budget → Plan: the type of every tensor and why, exact bytes, predicted loss with its bound.
 * Loss = Σ sensitivity × distortion over the eligible tensors; the rest keep the type of the source.
 */

import { describeConstraint } from "../allocate/patterns.ts";
import type { Constraint } from "../allocate/problem.ts";
import type { Analysis, DistortionEstimate, TensorAnalysis } from "../analyze/analysis.ts";
import { FormatError, InfeasibleError } from "../errors.ts";
import { elementCount, type TensorType } from "../ggml/tensor-types.ts";
import { present } from "../present.ts";
import type { Sensitivity } from "../sensitivity/sensitivity.ts";
import { nearestBase } from "./base-file-type.ts";
import { type BudgetRequest, resolveBudget, type SizeContext } from "./budget.ts";
import { priceTensor, type TensorChoice } from "./costing.ts";
import { type BuiltIn, builtInConstraints, type GuardSwitches, YIELDING } from "./guards.ts";
import { legalTypes } from "./legal-type.ts";
import { floorsWithin, offerTypes } from "./offered-types.ts";
import type { Plan, PlanTensor } from "./plan.ts";
import { GIVEN_UP, planHeaderBytes, planWarnings, predict } from "./predict.ts";
import { reasonFor } from "./reason.ts";
import { fixedBytes, type Solution, type SolveInput, solve } from "./solve.ts";
import { solvePools } from "./solve-pools.ts";

export interface PlanOptions {
  readonly analysis: Analysis;
  readonly sensitivity: Sensitivity;
  readonly budget: BudgetRequest;
  /** One type per tensor, or one per tensor class first. Default: tensor. */
  readonly mode?: "tensor" | "class" | undefined;
  readonly constraints?: readonly Constraint[] | undefined;
  /** Guards to switch off. Default: all are on; a head that the sensitivity knows needs none. */
  readonly guards?: GuardSwitches | undefined;
  /** The only types that may be chosen; absent: every candidate. */
  readonly types?: readonly TensorType[] | undefined;
  /** Types that tensors take, by name, where something knew better than the losses of single tensors. */
  readonly chosen?: ReadonlyMap<string, TensorType> | undefined;
  /** ISO 8601. Default: now. */
  readonly createdAt?: string | undefined;
}

/**
 * Make a plan. Throws UsageError for a bad budget or constraint, InfeasibleError (with the possible range in file
 * bytes) when nothing fits, FormatError when the analysis or the sensitivity lacks a tensor.
 */
export function makePlan(options: PlanOptions): Plan {
  const { analysis, sensitivity } = options;
  return solvePlan({
    ...options,
    source: analysis.model,
    facts: analysis.facts,
    prismVersion: analysis.prismVersion,
    ...present({ imatrix: analysis.imatrix, feedback: analysis.feedback }),
    tensors: analyzedChoices(analysis, sensitivity).map((tensor) => ({
      ...tensor,
      ...present({ chosen: options.chosen?.get(tensor.name) }),
    })),
    guards: { ...options.guards, ...(sensitivity.headKnown ? { head: false } : {}) },
  });
}

/** A planning problem: everything a plan depends on, wherever it is from. */
export interface PlanProblem
  extends Pick<PlanOptions, "budget" | "mode" | "constraints" | "guards" | "types" | "createdAt">,
    Pick<Plan, "source" | "facts" | "imatrix" | "feedback" | "prismVersion"> {
  readonly tensors: readonly TensorChoice[];
  readonly sensitivity: Pick<Sensitivity, "mode" | "version" | "lossUnit">;
}

/** Plan tensors whose distortion and sensitivity are known. Throws as makePlan does. */
export function solvePlan(problem: PlanProblem): Plan {
  const { source, facts, imatrix, feedback, prismVersion, sensitivity, types } = problem;
  const tensors = offerTypes(problem.tensors, types);
  const { constraints = [], mode = "tensor", guards = {} } = problem;
  const guardsOff = YIELDING.filter((guard) => guards[guard] === false);
  const identity = { facts, ...(imatrix ? { imatrix } : {}) };
  const headerBytes = planHeaderBytes(identity);
  const context: SizeContext = { facts, headerBytes, imatrix: imatrix !== undefined, tensors };
  const budget = resolveBudget(problem.budget, context);
  const { builtIns, warnings } = floorsWithin(builtInConstraints(context, budget.fileBytes, guards), types);
  const input = { tensors, headerBytes, budget, mode, constraints, types };
  const { solution, kept, dropped } = solveWithBuiltIns(input, builtIns);
  const priced = priceSolution(tensors, solution, kept);
  const prediction = predict(identity, priced, solution.assignment.lowerBound);
  return {
    schema: "prism.plan/1",
    prismVersion,
    createdAt: problem.createdAt ?? new Date().toISOString(),
    source,
    facts,
    baseFileType: nearestBase(prediction.predicted.fileBytes, context),
    ...(imatrix ? { imatrix } : {}),
    budget,
    mode,
    ...present({ types }),
    constraints: [...constraints, ...kept.map(({ constraint }) => constraint)],
    ...(guardsOff.length === 0 ? {} : { guardsOff }),
    sensitivity: { mode: sensitivity.mode, version: sensitivity.version },
    ...present({ feedback }),
    lossUnit: sensitivity.lossUnit,
    ...prediction,
    warnings: [...warnings, ...droppedWarnings(dropped), ...planWarnings({ ...identity, ...prediction, budget })],
  };
}

/** What the planner knows of each tensor: its sensitivity, and the distortion in every type it could really take. */
export function analyzedChoices(analysis: Analysis, sensitivity: Sensitivity): TensorChoice[] {
  return analysis.tensors.map((tensor) => {
    const { name, shape, sourceType, eligible, importance } = tensor;
    if (elementCount(shape) !== tensor.elements) {
      throw new FormatError(
        analysis.model.path,
        `analysis of ${name}: shape ${shape} is not ${tensor.elements} elements`,
      );
    }
    const facts = {
      name,
      class: tensor.class,
      ...present({ layer: tensor.layer }),
      shape,
      elements: tensor.elements,
      sourceType,
      eligible,
      ...present({ importance }),
    };
    if (!eligible) return facts;
    const value = sensitivity.values.get(name);
    if (value === undefined || !(Number.isFinite(value) && value >= 0)) {
      const message = `sensitivity ${sensitivity.version} has ${value} for ${name}, expected a finite number of at least 0`;
      throw new FormatError(analysis.model.path, message);
    }
    const legal = new Set(
      legalTypes({ name, shape, sourceType: tensor.sourceType, importance: importance === "used" }),
    );
    const measured = measuredOf(tensor, legal);
    if (Object.keys(measured.options).length === 0) {
      throw new FormatError(analysis.model.path, `the analysis has no distortion for ${name}; analyze the model again`);
    }
    return { ...facts, sensitivity: value, ...measured };
  });
}

/** Distortions of the types that are allowed, and what error feedback leaves of them. */
export function measuredOf(
  { distortion = {} }: Pick<TensorAnalysis, "distortion">,
  legal: ReadonlySet<TensorType>,
): Required<Pick<TensorChoice, "options">> & Pick<TensorChoice, "feedback"> {
  const options: Partial<Record<TensorType, number>> = {};
  const feedback: Partial<Record<TensorType, number>> = {};
  for (const [type, estimate] of Object.entries(distortion) as [TensorType, DistortionEstimate][]) {
    if (!legal.has(type)) continue;
    options[type] = estimate.value;
    if (estimate.feedback !== undefined) feedback[type] = estimate.feedback;
  }
  return Object.keys(feedback).length === 0 ? { options } : { options, feedback };
}

function priceSolution(
  tensors: readonly TensorChoice[],
  { assignment, constrained }: Solution,
  builtIns: readonly BuiltIn[],
): PlanTensor[] {
  const offered = new Map(constrained.items.map(({ name, options }) => [name, options]));
  const words = new Map(builtIns.map(({ constraint, note }) => [describeConstraint(constraint), note]));
  return tensors.map((tensor) => {
    const type = assignment.types.get(tensor.name) ?? tensor.sourceType;
    const because = constrained.reasons.get(tensor.name);
    const inWords = because && { ...because, note: words.get(because.note) ?? because.note };
    const { reason, note } = reasonFor(tensor, type, offered.get(tensor.name) ?? [], inWords);
    return priceTensor(tensor, type, reason, note);
  });
}

/** Solve with all built-in constraints; while nothing fits, give up one guard after another. */
function solveWithBuiltIns(input: SolveInput & Pick<PlanProblem, "types">, builtIns: readonly BuiltIn[]) {
  let kept = builtIns;
  for (const giveUp of [...YIELDING, undefined]) {
    try {
      const constraints = [...input.constraints, ...kept.map(({ constraint }) => constraint)];
      const solution = solvePools({ ...input, constraints }) ?? solve({ ...input, constraints });
      return { solution, kept, dropped: builtIns.filter((builtIn) => !kept.includes(builtIn)) };
    } catch (error) {
      if (!(error instanceof InfeasibleError)) throw error;
      if (giveUp === undefined) throw infeasible(error, input);
      kept = kept.filter(({ guard }) => guard !== giveUp);
    }
  }
  throw new Error("unreachable: the last attempt returns or throws");
}

function infeasible(error: InfeasibleError, input: SolveInput & Pick<PlanProblem, "types">): InfeasibleError {
  const { possible } = error;
  if (!possible) return error;
  const fixed = fixedBytes(input);
  const elements = input.tensors.reduce((sum, tensor) => sum + tensor.elements, 0);
  // a limit in bits per weight counts bare data: the header comes on top of it in a file
  const above = input.budget.tensorBytes === undefined ? 0 : input.budget.fileBytes - input.budget.tensorBytes;
  const range = { minBytes: possible.minBytes + fixed + above, maxBytes: possible.maxBytes + fixed + above };
  const bits = (bytes: number) => (Math.max(0, 8 * (bytes - (above || input.headerBytes))) / elements).toFixed(3);
  const count = (bytes: number) => bytes.toLocaleString("en-US");
  return new InfeasibleError(
    `asked for a file of at most ${count(input.budget.fileBytes)} bytes (${bits(input.budget.fileBytes)} bits per weight), ` +
      `possible are ${count(range.minBytes)} to ${count(range.maxBytes)} bytes (${bits(range.minBytes)} to ${bits(range.maxBytes)} bits per weight): ` +
      (input.types === undefined
        ? "raise the budget, loosen constraints, or give an imatrix, which allows smaller types (where rows fit them)"
        : "raise the budget, loosen constraints, or allow smaller --types"),
    range,
  );
}

/** One warning for each guard that was given up, with its first floor as the example. */
function droppedWarnings(dropped: readonly BuiltIn[]): string[] {
  return YIELDING.flatMap((name) => {
    const [first, ...others] = dropped.filter(({ guard }) => guard === name);
    if (first === undefined) return [];
    const more = others.length === 0 ? "" : ` and ${others.length} more`;
    const { kind, type, pattern } = first.constraint;
    return [`${GIVEN_UP} the ${name} guard, ${kind} ${type} on ${pattern}${more} (${first.note})`];
  });
}
