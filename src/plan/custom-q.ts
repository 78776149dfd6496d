/**
 * The string for `--custom-q` of ik_llama.cpp's llama-quantize: comma-separated REGEX=TYPE, searched in order, the first
 * match wins, types compared with their exact ggml names (examples/quantize/quantize.cpp there).
 */
import { ggmlTypeName } from "../ggml/tensor-types.ts";
import type { Plan } from "./plan.ts";
import { planOverrides } from "./tensor-types.ts";

/** Render the `--custom-q` argument, without a line break. No pattern contains a comma or an equals sign. */
export function renderCustomQ(plan: Pick<Plan, "tensors">): string {
  return planOverrides(plan)
    .map(({ pattern, type }) => `${pattern}=${ggmlTypeName(type)}`)
    .join(",");
}
