/** Which stock presets a model can be compared with, found out before the work starts. */
import { UsageError } from "../errors.ts";
import { ineligibleReason } from "../ggml/eligibility.ts";
import type { FileType } from "../ggml/file-types.ts";
import { needsImportance } from "../ggml/importance.ts";
import type { ModelFacts } from "../ggml/model-facts.ts";
import { stockTypes } from "../ggml/stock-mix.ts";
import type { Model } from "../gguf/model.ts";
import { importanceOf } from "../imatrix/check.ts";
import type { Imatrix } from "../imatrix/imatrix.ts";

/** Throws UsageError for a preset that needs importance values which are not there, or that can't hold the model's rows. */
export function checkBaselines(
  presets: readonly FileType[],
  { tensors }: Pick<Model, "tensors">,
  facts: ModelFacts,
  imatrix: Imatrix | undefined,
): void {
  for (const preset of presets) {
    const types = stockTypes(facts, tensors, preset, { imatrix: imatrix !== undefined });
    const needing = tensors.find((tensor) => {
      const type = types.get(tensor.name);
      if (type === undefined || type === tensor.type || ineligibleReason(tensor) !== undefined) return false;
      return needsImportance(type, tensor.name, preset) && !hasImportance(imatrix, tensor);
    });
    if (needing === undefined) continue;
    const remedy = imatrix === undefined ? "give --imatrix FILE" : `${imatrix.path} has none for it; give a fuller one`;
    throw new UsageError(
      `--baseline ${preset} needs importance values (for ${needing.name}, say): ${remedy}, or another baseline`,
    );
  }
}

function hasImportance(imatrix: Imatrix | undefined, tensor: Model["tensors"][number]): boolean {
  return imatrix !== undefined && typeof importanceOf(imatrix, tensor) !== "string";
}
