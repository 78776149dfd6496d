/** Which stock presets and types of other files a model can be compared with, found out before the work starts. */
import { UsageError } from "../errors.ts";
import { ineligibleReason } from "../ggml/eligibility.ts";
import type { FileType } from "../ggml/file-types.ts";
import { needsImportance } from "../ggml/importance.ts";
import type { ModelFacts } from "../ggml/model-facts.ts";
import { stockTypes } from "../ggml/stock-mix.ts";
import type { Model, TensorInfo } from "../gguf/model.ts";
import { importanceOf } from "../imatrix/check.ts";
import type { Imatrix } from "../imatrix/imatrix.ts";
import { typeProblem } from "../plan/legal-type.ts";
import { checkFits } from "../plan/plan-from-recipe.ts";
import { templateTypes } from "../plan/template.ts";
import type { NamedTemplate } from "./run-request.ts";

/** What importance values there are, or will be. */
export interface KnownImportance {
  /** Of the file. */
  readonly path: string;
  has(tensor: TensorInfo): boolean;
}

export function importanceFrom(imatrix: Imatrix): KnownImportance {
  return { path: imatrix.path, has: (tensor) => typeof importanceOf(imatrix, tensor) !== "string" };
}

/** Throws UsageError for a preset that needs importance values which are not there, or that can't hold the model's rows. */
export function checkBaselines(
  presets: readonly FileType[],
  { tensors }: Pick<Model, "tensors">,
  facts: ModelFacts,
  importance: KnownImportance | undefined,
  asked = "--baseline",
): void {
  for (const preset of presets) {
    const types = stockTypes(facts, tensors, preset, { imatrix: importance !== undefined });
    const needing = tensors.find((tensor) => {
      const type = types.get(tensor.name);
      if (type === undefined || type === tensor.type || ineligibleReason(tensor) !== undefined) return false;
      return needsImportance(type, tensor.name, preset) && !(importance?.has(tensor) ?? false);
    });
    if (needing === undefined) continue;
    const remedy =
      importance === undefined ? "give --imatrix FILE" : `${importance.path} has none for it; give a fuller one`;
    throw new UsageError(
      `${asked} ${preset} needs importance values (for ${needing.name}, say): ${remedy}, or another baseline`,
    );
  }
}

/** Throws UsageError for types of other files that don't fit the model, or that it can't be stored in. */
export function checkTemplates(
  templates: readonly NamedTemplate[],
  { tensors }: Pick<Model, "tensors">,
  facts: ModelFacts,
  importance: KnownImportance | undefined,
): void {
  for (const { template } of templates) {
    if (template.kind === "recipe") {
      checkFits(template.recipe, { arch: facts.arch, tensors });
      continue;
    }
    const { types } = templateTypes(template, { facts, tensors }, { imatrix: importance !== undefined });
    for (const tensor of tensors) {
      const type = types.get(tensor.name);
      if (type === undefined) continue;
      const { name, shape, type: sourceType } = tensor;
      const problem = typeProblem({ name, shape, sourceType, importance: importance?.has(tensor) ?? false }, type);
      if (problem !== undefined) throw new UsageError(`--baseline ${template.name}: ${name}: ${problem}`);
    }
  }
}
