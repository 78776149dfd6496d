/**
 * The types the planner chooses from for an eligible tensor. Each fits the tensor's rows, so that no fallback changes
 * its cost, and none but the importance types fails without an imatrix.
 */
import { fitsRows } from "./fallback.ts";
import { bitsPerWeight, isQuantizedType, TENSOR_TYPE_NAMES, TENSOR_TYPES, type TensorType } from "./tensor-types.ts";

/** Those for rows of this block: smallest first, of equal ones the smaller block. IQ1_M serves the range of IQ1_S. */
function candidatesOf(block: 32 | 256): TensorType[] {
  const own = TENSOR_TYPE_NAMES.filter((type) => {
    const { candidate } = TENSOR_TYPES[type];
    return candidate === block || candidate === "any";
  });
  const blockOf = (type: TensorType) => TENSOR_TYPES[type].blockElements;
  return own.sort((a, b) => bitsPerWeight(a) - bitsPerWeight(b) || blockOf(a) - blockOf(b));
}

const SUPER_BLOCK = candidatesOf(256);
const SMALL_BLOCK = candidatesOf(32);

/** Those that people know and that need no imatrix, smallest first: for tables, and for models of one type. */
export const COMMON_TYPES: readonly TensorType[] = ["Q2_K", "Q3_K", "IQ4_XS", "Q4_K", "Q5_K", "Q6_K", "Q8_0"];

/**
 * The candidate types of a tensor, smallest first; `importance`: the tensor has importance values; `also`: types that are
 * wanted besides, where it can take them.
 */
export function candidateTypes(
  tensor: { readonly name: string; readonly shape: readonly number[] },
  options: { readonly importance: boolean; readonly also?: readonly TensorType[] | undefined },
): TensorType[] {
  const own = ownCandidates(tensor, options);
  const row = tensor.shape[0] ?? 1;
  const besides = (options.also ?? []).filter((type) => {
    const { target, importance } = TENSOR_TYPES[type];
    const isPossible = target && isQuantizedType(type) && fitsRows(type, row);
    return isPossible && !own.includes(type) && (options.importance || importance !== "required");
  });
  return besides.length === 0 ? own : [...own, ...besides].sort((a, b) => bitsPerWeight(a) - bitsPerWeight(b));
}

function ownCandidates(
  tensor: { readonly shape: readonly number[] },
  options: { readonly importance: boolean },
): TensorType[] {
  const row = tensor.shape[0] ?? 1;
  if (!fitsRows("Q4_0", row)) return ["F16"];
  if (!fitsRows("Q4_K", row)) return [...SMALL_BLOCK];
  return SUPER_BLOCK.filter((type) => options.importance || TENSOR_TYPES[type].importance !== "required");
}
