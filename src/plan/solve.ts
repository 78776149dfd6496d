/** Candidates + constraints + budget → a type per eligible tensor, through the allocator. */
import { allocate } from "../allocate/allocate.ts";
import { applyConstraints, type Constrained } from "../allocate/constraints.ts";
import type { Assignment, Constraint, Option } from "../allocate/problem.ts";
import { allocateByClass } from "../allocate/refine.ts";
import { paddedBytes } from "../ggml/file-bytes.ts";
import { type TensorType, tensorBytes } from "../ggml/tensor-types.ts";
import { distortionOf, paddedTensorBytes, type TensorChoice, typesOf } from "./costing.ts";
import { typeProblem } from "./legal-type.ts";
import type { BudgetAsked, Plan } from "./plan.ts";

export interface SolveInput {
  readonly tensors: readonly TensorChoice[];
  readonly headerBytes: number;
  readonly constraints: readonly Constraint[];
  readonly budget: Pick<BudgetAsked, "fileBytes" | "tensorBytes" | "memory">;
  readonly mode: Plan["mode"];
}

export interface Solution {
  readonly assignment: Assignment;
  /** What the constraints left and why. */
  readonly constrained: Constrained;
}

/**
 * Solve for the types of the eligible tensors. Throws InfeasibleError with `possible` in the allocator's bytes: see
 * `fixedBytes` for what else the file holds.
 */
export function solve(input: SolveInput): Solution {
  const eligible = input.tensors.filter((tensor) => tensor.eligible);
  const byName = new Map(eligible.map((tensor) => [tensor.name, tensor]));
  const cost = costIn(input.budget);
  const price = (tensor: TensorChoice, type: TensorType): Option => ({
    type,
    bytes: cost(tensor, type),
    loss: (tensor.sensitivity ?? 0) * (distortionOf(tensor, type) ?? 0),
  });
  const candidates = eligible.map((tensor) => ({
    name: tensor.name,
    options: (tensor.chosen === undefined ? typesOf(tensor) : [tensor.chosen]).map((type) => price(tensor, type)),
  }));
  // a pinned type needs no measurement, only to be possible
  const constrained = applyConstraints(candidates, input.constraints, (name, type, kind) => {
    const tensor = byName.get(name);
    if (!tensor || (kind === "floor" && tensor.offered !== undefined && !tensor.offered.includes(type)))
      return undefined;
    if (typeProblem({ ...tensor, importance: tensor.importance === "used" }, type)) return undefined;
    return price(tensor, type);
  });
  const problem = { items: constrained.items, budgetBytes: budgetBytes(input) };
  const assignment =
    input.mode === "class" ? allocateByClass(problem, (name) => byName.get(name)?.class ?? name) : allocate(problem);
  return { assignment, constrained };
}

/** What the allocator may spend. */
export function budgetBytes({ budget, ...rest }: SolveInput): number {
  return (budget.tensorBytes ?? budget.fileBytes) - fixedBytes({ budget, ...rest });
}

/** Bytes the allocator has no say in, in the unit of the budget: padded with the header, or bare tensor data. */
export function fixedBytes({ budget, headerBytes, tensors }: Pick<SolveInput, "budget" | "headerBytes" | "tensors">) {
  const ineligible = tensors.filter(({ eligible }) => !eligible);
  const cost = costIn(budget);
  const data = ineligible.reduce((sum, tensor) => sum + cost(tensor, tensor.sourceType), 0);
  return budget.tensorBytes === undefined ? paddedBytes(headerBytes) + data : data;
}

/** Bits per weight count bare data, a file counts padding: the allocator must count the same way. */
export function costIn(
  budget: SolveInput["budget"],
): (tensor: Pick<TensorChoice, "shape">, type: TensorType) => number {
  if (budget.tensorBytes === undefined) return paddedTensorBytes;
  return ({ shape }, type) => tensorBytes(type, shape);
}
