/** The types of another file on a model, priced as a plan: mode `recipe`, each tensor saying where its type is from. */
import type { Analysis } from "../analyze/analysis.ts";
import type { Sensitivity } from "../sensitivity/sensitivity.ts";
import type { Plan } from "./plan.ts";
import { idleOverrides, planFromRecipe } from "./plan-from-recipe.ts";
import { planFromTypes } from "./plan-from-types.ts";
import { printable } from "./printable.ts";
import { type Template, type TemplateOptions, templateTypes } from "./template.ts";

export interface TemplatePlanOptions extends Pick<TemplateOptions, "base"> {
  readonly analysis: Analysis;
  readonly sensitivity: Sensitivity;
  readonly template: Template;
  /** How the template was asked for: stands in the plan as what was asked. */
  readonly text: string;
  /** ISO 8601. Default: now. */
  readonly createdAt?: string;
}

export interface TemplatePlan {
  readonly plan: Plan;
  /** What a person should know of how the template fits, in words. */
  readonly remarks: readonly string[];
}

/** Throws UsageError for a model the template doesn't fit, and for types that need an imatrix where there is none. */
export function planFromTemplate({ template, base, ...options }: TemplatePlanOptions): TemplatePlan {
  const { analysis } = options;
  if (template.kind === "recipe") {
    const { recipe } = template;
    const remarks = idleOverrides(recipe, analysis).map(
      ({ pattern }) => `no tensor of this model matches the recipe's ${printable(pattern)}`,
    );
    return { plan: planFromRecipe({ ...options, recipe }), remarks };
  }
  const tensors = analysis.tensors.map(({ name, shape, sourceType }) => ({ name, shape, type: sourceType }));
  const imatrix = analysis.imatrix !== undefined;
  const given = templateTypes(template, { facts: analysis.facts, tensors }, { base, imatrix });
  const { types, notes } = given;
  const named = given.base === undefined ? {} : { baseFileType: given.base };
  return { plan: planFromTypes({ ...options, types, notes, ...named }), remarks: given.remarks };
}
