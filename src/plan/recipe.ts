/** Every file that carries out or checks a plan with other people's programs. */
import { renderCustomQ } from "./custom-q.ts";
import { type EvaluateScriptOptions, renderEvaluateSh } from "./evaluate-sh.ts";
import type { Plan } from "./plan.ts";
import { renderRecipePs1 } from "./recipe-ps1.ts";
import { renderRecipeSh } from "./recipe-sh.ts";
import { renderTensorTypes } from "./tensor-types.ts";

export type RecipeFile = "recipe.sh" | "recipe.ps1" | "tensor-types.txt" | "custom-q.txt" | "evaluate.sh";

/** Render all recipe files of a plan, by file name. Throws PrismError where a pattern would be ambiguous. */
export function renderRecipe(plan: Plan, options: EvaluateScriptOptions = {}): Record<RecipeFile, string> {
  return {
    "recipe.sh": renderRecipeSh(plan, options),
    "recipe.ps1": renderRecipePs1(plan, options),
    "tensor-types.txt": renderTensorTypes(plan),
    "custom-q.txt": `${renderCustomQ(plan)}\n`,
    "evaluate.sh": renderEvaluateSh(plan, options),
  };
}
