/** Which types llama-quantize can really store a tensor in, so that what a plan says is what the file has. */
import { ineligibleReason } from "../ggml/eligibility.ts";
import { fitsRows } from "../ggml/fallback.ts";
import type { FileType } from "../ggml/file-types.ts";
import { needsImportance } from "../ggml/importance.ts";
import { TENSOR_TYPE_NAMES, TENSOR_TYPES, type TensorType } from "../ggml/tensor-types.ts";

export interface TypeContext {
  readonly name: string;
  /** ne, innermost dimension first. */
  readonly shape: readonly number[];
  readonly sourceType: TensorType;
  /** Whether an imatrix has values for this tensor. */
  readonly importance: boolean;
}

// needsImportance only treats Q2_K_S specially, which is never the base of a plan
const ANY_BASE: FileType = "Q4_K_M";

/** Say why `type` can't be the type of this tensor in a quantized file, or return undefined where it can. */
export function typeProblem(tensor: TypeContext, type: TensorType): string | undefined {
  const ineligible = ineligibleReason(tensor);
  if (ineligible !== undefined) return `this tensor keeps its type (${ineligible})`;
  if (!TENSOR_TYPES[type].target) return `llama-quantize can't produce ${type}`;
  const row = tensor.shape[0] ?? 1;
  if (!fitsRows(type, row)) {
    return `rows of ${row} elements are not a multiple of ${type}'s block of ${TENSOR_TYPES[type].blockElements}`;
  }
  if (!tensor.importance && needsImportance(type, tensor.name, ANY_BASE)) {
    return `${type} needs importance values, and the plan has none for this tensor`;
  }
  return undefined;
}

/** The types that pass `typeProblem`, in the order of the ggml ids. */
export function legalTypes(tensor: TypeContext): TensorType[] {
  return TENSOR_TYPE_NAMES.filter((type) => typeProblem(tensor, type) === undefined);
}
