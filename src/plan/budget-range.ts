/** Whether any plan could fit a budget, from the header alone: what is impossible is refused before the analysis. */
import { InfeasibleError } from "../errors.ts";
import { candidateTypes } from "../ggml/candidates.ts";
import { ineligibleReason } from "../ggml/eligibility.ts";
import { bpw, fileBytes } from "../ggml/file-bytes.ts";
import type { ModelFacts } from "../ggml/model-facts.ts";
import { elementCount, type TensorType, tensorBytes } from "../ggml/tensor-types.ts";
import { formatSizeAs } from "../numbers.ts";
import { type BudgetRequest, resolveBudget, type SizeContext } from "./budget.ts";

export interface RangeModel {
  readonly facts: ModelFacts;
  readonly headerBytes: number;
  readonly tensors: readonly { readonly name: string; readonly shape: readonly number[]; readonly type: TensorType }[];
  /** Whether an imatrix is given, and has values for a tensor. */
  readonly hasImportance?: ((name: string) => boolean) | undefined;
}

/** Bytes of the file that a budget allows at most. */
export function budgetBytes(budget: BudgetRequest, model: RangeModel): number {
  return resolveBudget(budget, contextOf(model)).fileBytes;
}

/** Throws InfeasibleError where the smallest candidate type of every tensor is already too large. */
export function checkBudget(budget: BudgetRequest, model: RangeModel): void {
  const { headerBytes, tensors, hasImportance } = model;
  const smallest = smallestTypes(model);
  const asked = resolveBudget(budget, contextOf(model));
  const least = fileBytes(headerBytes, smallest);
  const leastTensorBytes = smallest.reduce((sum, { type, shape }) => sum + tensorBytes(type, shape), 0);
  const fits = asked.tensorBytes === undefined ? least <= asked.fileBytes : leastTensorBytes <= asked.tensorBytes;
  if (fits) return;
  const count = (bytes: number) => bytes.toLocaleString("en-US");
  const size = (bytes: number) => `${count(bytes)} bytes (${formatSizeAs(asked.text, bytes)})`;
  const [limit, smallestTakes] =
    asked.tensorBytes === undefined
      ? [size(asked.fileBytes), `the smallest file of this model takes ${size(least)}`]
      : [`${count(asked.tensorBytes)} bytes of tensors`, `this model's take at least ${count(leastTensorBytes)}`];
  const remedy = hasImportance === undefined ? ", or give an imatrix, which allows smaller types" : "";
  throw new InfeasibleError(
    `${asked.text} allows ${limit}, but ${smallestTakes} ` +
      `(${bpw(smallest).toFixed(3)} bits per weight); raise the budget${remedy}`,
    { minBytes: least, maxBytes: fileBytes(headerBytes, tensors) },
  );
}

/** The tensors, each in the smallest type that a plan could give it. */
export function smallestTypes({
  tensors,
  hasImportance,
}: Pick<RangeModel, "tensors" | "hasImportance">): { name: string; shape: readonly number[]; type: TensorType }[] {
  return tensors.map(({ name, shape, type }) => {
    if (ineligibleReason({ name, shape, type }) !== undefined) return { name, shape, type };
    const types = candidateTypes({ name, shape }, { importance: hasImportance?.(name) ?? false });
    const bytes = (candidate: TensorType) => tensorBytes(candidate, shape);
    return { name, shape, type: types.reduce((a, b) => (bytes(b) < bytes(a) ? b : a)) };
  });
}

/** What sizes of this model's files depend on. */
export function contextOf({ facts, headerBytes, tensors, hasImportance }: RangeModel): SizeContext {
  return {
    facts,
    headerBytes,
    imatrix: hasImportance !== undefined,
    tensors: tensors.map(({ name, shape, type }) => ({
      name,
      class: name,
      shape,
      elements: elementCount(shape),
      sourceType: type,
      eligible: false,
    })),
  };
}
