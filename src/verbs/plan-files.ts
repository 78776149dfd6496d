/** A plan and its recipe files on disk. */
import { basename, dirname, join } from "node:path";
import { writeFileAside } from "../disk/aside-file.ts";
import type { Plan } from "../plan/plan.ts";
import { type RecipeFile, renderRecipe } from "../plan/recipe.ts";
import { serializePlan } from "../plan/serialize-plan.ts";
import { recipePrefix } from "./output-names.ts";

const RECIPE_FILES: readonly RecipeFile[] = [
  "recipe.sh",
  "recipe.ps1",
  "tensor-types.txt",
  "custom-q.txt",
  "evaluate.sh",
];

export type PlanFiles = Readonly<Record<RecipeFile, string>>;

/** Where the recipe files of the plan at `target` go: beside it, or in `recipeDir`. */
export function planFiles(target: string, recipeDir: string = dirname(target)): PlanFiles {
  const prefix = recipePrefix(basename(target));
  const paths = RECIPE_FILES.map((file) => [file, join(recipeDir, `${prefix}${file}`)] as const);
  return Object.fromEntries(paths) as PlanFiles;
}

/** Write the plan last: where it stands, its recipe stands too. */
export async function writePlan(plan: Plan, target: string, files: PlanFiles): Promise<void> {
  const rendered = renderRecipe(plan);
  for (const file of RECIPE_FILES) await writeFileAside(files[file], rendered[file]);
  await writeFileAside(target, serializePlan(plan));
}
