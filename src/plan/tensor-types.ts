/** The file `llama-quantize --tensor-type-file` reads: PATTERN=TYPE tokens, no comments, no quoting. */
import { leftAloneReason } from "../ggml/eligibility.ts";
import { ggmlTypeName } from "../ggml/tensor-types.ts";
import { type Override, overridesFor } from "./patterns.ts";
import type { Plan } from "./plan.ts";

/**
 * The overrides of a plan: one pattern match for every tensor that llama-quantize sets out to quantize, those included
 * that it would fail on and that are told to keep their type.
 */
export function planOverrides(plan: Pick<Plan, "tensors">): Override[] {
  return overridesOf(plan.tensors);
}

/** The overrides that give all tensors of a file their types, those left alone aside. */
export function overridesOf(tensors: readonly Pick<Plan["tensors"][number], "name" | "shape" | "type">[]): Override[] {
  const others = tensors.filter((tensor) => leftAloneReason(tensor) !== undefined).map(({ name }) => name);
  return overridesFor(
    tensors.filter((tensor) => leftAloneReason(tensor) === undefined),
    others,
  );
}

/** One override as llama-quantize parses it: `^token_embd\.weight$=q6_K`. */
export function overrideToken({ pattern, type }: Override): string {
  return `${pattern}=${ggmlTypeName(type)}`;
}

/** Render tensor-types.txt. */
export function renderTensorTypes(plan: Pick<Plan, "tensors">): string {
  return planOverrides(plan)
    .map((override) => `${overrideToken(override)}\n`)
    .join("");
}
