/** Findings about a source that was quantized before: its losses would add to the new ones. */
import { ineligibleReason } from "../ggml/eligibility.ts";
import { isQuantizedType, type TensorType } from "../ggml/tensor-types.ts";
import type { Model } from "../gguf/model.ts";
import type { Finding } from "./finding-codes.ts";

/** Types that models are published in by their makers, so that no better source exists. */
const PUBLISHED_TYPES: ReadonlySet<TensorType> = new Set(["MXFP4", "NVFP4"]);

/** Count the weights that llama-quantize would have to requantize, by type. */
export function requantizeFindings(model: Model): Finding[] {
  const weights = model.tensors.filter((tensor) => ineligibleReason(tensor) === undefined);
  const counts = new Map<TensorType, number>();
  for (const { type } of weights) {
    if (isQuantizedType(type)) counts.set(type, (counts.get(type) ?? 0) + 1);
  }
  if (counts.size === 0) return [];
  const types = [...counts].sort(([, a], [, b]) => b - a);
  const total = types.reduce((sum, [, count]) => sum + count, 0);
  const published = types.every(([type]) => PUBLISHED_TYPES.has(type));
  return [
    {
      code: "already-quantized",
      severity: published ? "warning" : "error",
      message: `${total} of ${weights.length} tensors are already quantized (${types.map(([type, count]) => `${count} ${type}`).join(", ")})`,
      remedy: published
        ? "keep these weights in their type; where an f16, bf16 or f32 GGUF exists, start from that"
        : "start from the f16, bf16 or f32 GGUF; requantizing adds the losses of both",
    },
  ];
}
