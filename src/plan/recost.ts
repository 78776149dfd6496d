/**
 * Price a plan anew: after a person edited its types, and whenever one is read from a file. Nothing predicted is taken
 * over; D and sensitivity come from what the plan recorded, or from the analysis if one is given.
 */
import type { Analysis } from "../analyze/analysis.ts";
import { UsageError } from "../errors.ts";
import { ineligibleReason } from "../ggml/eligibility.ts";
import { tensorBytes } from "../ggml/tensor-types.ts";
import { isBaseFileType } from "./base-file-type.ts";
import { isOverMemory } from "./budget-memory.ts";
import { distortionOf, priceTensor, type TensorChoice, tensorChoice } from "./costing.ts";
import { exactName } from "./exact-name.ts";
import { legalTypes, typeProblem } from "./legal-type.ts";
import { measuredOf } from "./make-plan.ts";
import { ALLOWED_ONLY, offerTypes } from "./offered-types.ts";
import type { Constraint, Plan, PlanTensor } from "./plan.ts";
import { GIVEN_UP, planHeaderBytes, planWarnings, predict } from "./predict.ts";
import { solve } from "./solve.ts";
import { solvePools } from "./solve-pools.ts";

/**
 * Recompute bytes, loss, bound, shares and steps of a plan. A type that differs from the recorded bytes or distortion
 * was edited: its reason becomes `edited`, and the plan's mode with it. Throws UsageError for a type llama-quantize
 * could not store the tensor in, or for an analysis of another model.
 */
export function recostPlan(edited: Plan, analysis?: Analysis): Plan {
  if (!isBaseFileType(edited.baseFileType)) {
    throw new UsageError(
      `baseFileType ${edited.baseFileType} can't carry overrides; use one whose own type is quantized and needs no imatrix, such as Q4_K_M`,
    );
  }
  const choices = offerTypes(
    edited.tensors.map((tensor) => choiceOf(tensor, edited, analysis)),
    edited.types,
  );
  const priced = edited.tensors.map((tensor, index) => reprice(tensor, choices[index] as TensorChoice));
  const mode = priced.some(({ reason }) => reason === "edited") ? "edited" : edited.mode;
  const first = predict(edited, priced, 0);
  const lowerBound = boundOf({ ...edited, ...first, mode }, choices);
  const prediction = predict(edited, priced, lowerBound);
  const kept = edited.warnings.filter((warning) => [GIVEN_UP, ALLOWED_ONLY].some((begin) => warning.startsWith(begin)));
  return { ...edited, mode, ...prediction, warnings: [...kept, ...planWarnings({ ...edited, ...prediction })] };
}

function choiceOf(tensor: PlanTensor, plan: Plan, analysis: Analysis | undefined): TensorChoice {
  const choice = tensorChoice(tensor, ineligibleReason(tensor) === undefined);
  if (!analysis) return choice;
  if (analysis.model.headerHash !== plan.source.headerHash) {
    throw new UsageError(
      `the analysis is of ${analysis.model.path} (header ${analysis.model.headerHash.slice(0, 12)}), ` +
        `the plan of ${plan.source.path} (header ${plan.source.headerHash.slice(0, 12)}); analyze the plan's model`,
    );
  }
  const measured = analysis.tensors.find(({ name }) => name === tensor.name);
  if (!measured?.distortion) return choice;
  const legal = new Set(legalTypes({ ...tensor, importance: measured.importance === "used" }));
  const { options, feedback } = measuredOf(measured, legal);
  return {
    ...choice,
    options: { ...choice.options, ...options },
    ...(feedback === undefined ? {} : { feedback: { ...choice.feedback, ...feedback } }),
  };
}

function reprice(tensor: PlanTensor, choice: TensorChoice): PlanTensor {
  const { name, type, sourceType } = tensor;
  if (!choice.eligible) {
    if (type !== sourceType) {
      const why = ineligibleReason(tensor);
      throw new UsageError(`${name}: ${type} was asked for, but it stays ${sourceType} (${why})`);
    }
    return priceTensor(choice, sourceType, "ineligible");
  }
  const context = { ...tensor, importance: tensor.importance === "used" };
  const problem = typeProblem(context, type);
  if (problem !== undefined) {
    throw new UsageError(
      `${name}: ${type} is not possible: ${problem}; choose one of ${legalTypes(context).join(", ")}`,
    );
  }
  return wasEdited(tensor)
    ? priceTensor(choice, type, "edited")
    : priceTensor(choice, type, tensor.reason, tensor.note);
}

/** Whether the type no longer fits the numbers recorded with it. */
function wasEdited(tensor: PlanTensor): boolean {
  if (tensor.reason === "edited" || tensor.reason === "ineligible") return true;
  return (
    tensor.bytes !== tensorBytes(tensor.type, tensor.shape) || tensor.distortion !== distortionOf(tensor, tensor.type)
  );
}

/** The least loss the same problem allows; for types chosen by hand, any types at these bytes or the budget. */
function boundOf(plan: Plan, tensors: readonly TensorChoice[]): number {
  const { predicted, budget, mode } = plan;
  const limits = {
    fileBytes: Math.max(budget.fileBytes, predicted.fileBytes),
    ...(budget.tensorBytes === undefined ? {} : { tensorBytes: Math.max(budget.tensorBytes, predicted.tensorBytes) }),
  };
  const byHand = mode === "edited" || mode === "recipe";
  const constraints = byHand ? pinUnmeasured(plan) : plan.constraints;
  // by hand, any type may have been given
  const offered = byHand ? tensors.map((tensor) => ({ ...tensor, offered: undefined })) : tensors;
  const input = { tensors: offered, headerBytes: planHeaderBytes(plan), constraints, mode };
  const pooled = byHand || isOverMemory(plan) ? undefined : solvePools({ ...input, budget });
  return (pooled ?? solve({ ...input, budget: limits })).assignment.lowerBound;
}

function pinUnmeasured(plan: Plan): Constraint[] {
  return plan.tensors
    .filter(({ reason, type, options }) => reason !== "ineligible" && options?.[type] === undefined)
    .map(({ name, type }) => ({ kind: "pin", pattern: exactName(name), type }));
}
