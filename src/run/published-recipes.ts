/** The published recipes (plans/*-prism-dq.json) that were made for the shapes of a run's model: one more control each. */
import { readdir } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import type { Analysis } from "../analyze/analysis.ts";
import { readDocumentText } from "../documents/document-file.ts";
import { type PublishedRecipe, RECIPE, readRecipe } from "../plan/published-recipe.ts";

/** Where the package keeps them, seen from src/loop and from dist/loop. */
const RECIPES = new URL("../../plans/", import.meta.url);

/** Read the recipes of this model. Throws FormatError for a damaged one. */
export async function matchingRecipes(analysis: Pick<Analysis, "facts" | "tensors">): Promise<PublishedRecipe[]> {
  return (await publishedRecipes()).filter((recipe) => matches(recipe, analysis));
}

/** All of them. */
export async function publishedRecipes(): Promise<PublishedRecipe[]> {
  const names = (await readdir(RECIPES)).filter((name) => name.endsWith("-prism-dq.json")).sort();
  return Promise.all(
    names.map(async (name) => {
      const path = fileURLToPath(new URL(name, RECIPES));
      return readRecipe(await readDocumentText(path, RECIPE), path);
    }),
  );
}

/** Whether every tensor that is quantized has the name and the shape of one of the recipe's own model. */
export function matches(
  { arch, tensors }: Pick<PublishedRecipe, "arch" | "tensors">,
  analysis: Pick<Analysis, "facts" | "tensors">,
): boolean {
  if (arch !== analysis.facts.arch) return false;
  const shapes = new Map(tensors.map(({ name, shape }) => [name, shape.join("×")]));
  return analysis.tensors.every(({ eligible, name, shape }) => !eligible || shapes.get(name) === shape.join("×"));
}
