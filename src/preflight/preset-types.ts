/** The types that a stock preset would give a model, where it gives it any. */
import { UsageError } from "../errors.ts";
import { ineligibleReason, typesToKeep } from "../ggml/eligibility.ts";
import type { FileType } from "../ggml/file-types.ts";
import type { ModelFacts } from "../ggml/model-facts.ts";
import { stockTypes } from "../ggml/stock-mix.ts";
import type { TensorType } from "../ggml/tensor-types.ts";
import type { Model, TensorInfo } from "../gguf/model.ts";

/** Architectures of files that are not quantized: an imatrix, say, and a projector. */
const NO_MODELS: ReadonlySet<string> = new Set(["", "clip"]);

/**
 * Undefined where llama-quantize refuses the model under this preset or fails on a tensor of it, and for files that are no
 * language models.
 */
export function typesUnderPreset(
  model: Model,
  facts: ModelFacts,
  fileType: FileType,
): Map<string, TensorType> | undefined {
  const types = decidedTypes(model, facts, fileType);
  return failingTensors(model, types).length > 0 ? undefined : types;
}

/** The tensors that llama-quantize can't give the types a preset has decided on. */
export function failingTensors(
  { tensors }: Pick<Model, "tensors">,
  types: ReadonlyMap<string, TensorType> | undefined,
): TensorInfo[] {
  const kept = typesToKeep(tensors);
  return tensors.filter(({ name, type }) => kept.has(name) && types?.get(name) !== type);
}

/** What llama-quantize decides on before it converts anything; undefined as in typesUnderPreset(). */
export function decidedTypes(model: Model, facts: ModelFacts, fileType: FileType): Map<string, TensorType> | undefined {
  if (NO_MODELS.has(model.arch) || model.tensors.every((tensor) => ineligibleReason(tensor) !== undefined)) {
    return undefined;
  }
  try {
    return stockTypes(facts, model.tensors, fileType);
  } catch (error) {
    if (error instanceof UsageError) return undefined;
    throw error;
  }
}
