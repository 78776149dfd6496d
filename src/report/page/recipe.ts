/** The recipe of the plan at hand: any of its files, to copy or to keep. */
import type { Plan } from "../../plan/plan.ts";
import { type RecipeFile, renderRecipe } from "../../plan/recipe.ts";
import { html } from "../html/markup.ts";
import { byId, copyText, download, fill } from "./dom.ts";

const FILES: readonly RecipeFile[] = ["recipe.sh", "recipe.ps1", "tensor-types.txt", "custom-q.txt", "evaluate.sh"];

export interface RecipeView {
  show(plan: Plan, edited: boolean): void;
}

/** Bring the recipe section to life. */
export function mountRecipe(opened: Plan): RecipeView {
  const select = byId<HTMLSelectElement>("recipe-file");
  const copied = byId("copied");
  let plan = opened;
  fill(select, html`${FILES.map((file) => html`<option>${file}</option>`)}`);
  const render = () => {
    byId("recipe-text").textContent = renderRecipe(plan)[select.value as RecipeFile];
    copied.textContent = "";
  };
  select.addEventListener("change", render);
  byId("copy-recipe").addEventListener("click", async () => {
    const done = await copyText(byId("recipe-text").textContent ?? "");
    copied.textContent = done ? "Copied." : "The browser refuses; select the text instead.";
  });
  return {
    show(next, edited) {
      if (next === plan) return;
      plan = next;
      byId("recipe-note").textContent = edited ? "This is the recipe of the plan as you changed it." : "";
      render();
    },
  };
}

/** Offer one recipe file of a plan. */
export function downloadRecipe(plan: Plan, file: RecipeFile): void {
  download(file, renderRecipe(plan)[file]);
}
