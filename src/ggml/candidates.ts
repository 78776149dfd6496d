/**
 * The types the planner chooses from for an eligible tensor. Each fits the tensor's rows, so that no fallback changes
 * its cost, and none but the importance types fails without an imatrix.
 */
import { fitsRows } from "./fallback.ts";
import type { TensorType } from "./tensor-types.ts";

// in order of bytes; IQ1_S is left out: IQ1_M serves its range for 6 bytes more per 256 weights
const SUPER_BLOCK: readonly TensorType[] = [
  "IQ1_M",
  "IQ2_XXS",
  "IQ2_XS",
  "IQ2_S",
  "Q2_K",
  "IQ3_XXS",
  "Q3_K",
  "IQ3_S",
  "IQ4_XS",
  "IQ4_NL",
  "Q4_K",
  "Q5_K",
  "Q6_K",
  "Q8_0",
  "F16",
];
const SMALL_BLOCK: readonly TensorType[] = ["Q4_0", "IQ4_NL", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "F16"];
const NEED_IMPORTANCE: ReadonlySet<TensorType> = new Set<TensorType>([
  "IQ1_M",
  "IQ2_XXS",
  "IQ2_XS",
  "IQ2_S",
  "IQ3_XXS",
]);

/** The candidate types of a tensor, smallest first; `importance`: the tensor has importance values. */
export function candidateTypes(
  tensor: { readonly name: string; readonly shape: readonly number[] },
  options: { readonly importance: boolean },
): TensorType[] {
  const row = tensor.shape[0] ?? 1;
  if (!fitsRows("Q4_0", row)) return ["F16"];
  if (!fitsRows("Q4_K", row)) return [...SMALL_BLOCK];
  return SUPER_BLOCK.filter((type) => options.importance || !NEED_IMPORTANCE.has(type));
}
