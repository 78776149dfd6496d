/** The file `llama-quantize --tensor-type-file` reads: PATTERN=TYPE tokens, no comments, no quoting. */
import { ggmlTypeName } from "../ggml/tensor-types.ts";
import { type Override, overridesFor } from "./patterns.ts";
import type { Plan } from "./plan.ts";

/** The overrides of a plan: one pattern match for every tensor that llama-quantize quantizes. */
export function planOverrides(plan: Pick<Plan, "tensors">): Override[] {
  const eligible = plan.tensors.filter(({ reason }) => reason !== "ineligible");
  const others = plan.tensors.filter(({ reason }) => reason === "ineligible").map(({ name }) => name);
  return overridesFor(eligible, others);
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
