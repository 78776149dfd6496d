/** Why a tensor has its type, in a word and a note. */
import type { ConstraintReason } from "../allocate/constraints.ts";
import type { Option } from "../allocate/problem.ts";
import { fitsRows } from "../ggml/fallback.ts";
import { type TensorType, tensorBytes } from "../ggml/tensor-types.ts";
import type { TensorChoice } from "./costing.ts";
import type { Reason } from "./plan.ts";

/**
 * The reason for a type that the allocator chose from `offered`, what the constraints left. `because` is what they did
 * to this tensor; a floor counts only where it is what keeps the type from being smaller.
 */
export function reasonFor(
  tensor: TensorChoice,
  type: TensorType,
  offered: readonly Option[],
  because?: ConstraintReason,
): { reason: Reason; note?: string } {
  if (!tensor.eligible) return { reason: "ineligible" };
  const bytes = tensorBytes(type, tensor.shape);
  const smallest = offered.every((option) => tensorBytes(option.type, tensor.shape) >= bytes);
  if (because && (because.kind !== "floor" || smallest)) return { reason: because.kind, note: because.note };
  if (tensor.fallbackNote !== undefined) return { reason: "fallback", note: tensor.fallbackNote };
  const row = tensor.shape[0] ?? 1;
  if (!fitsRows("Q4_K", row)) {
    return { reason: "fallback", note: `rows of ${row} elements fit only types with blocks of 32 or of one element` };
  }
  return { reason: "budget" };
}
