/** prism show: a plan or a published recipe as tables; what differs from another plan; why a tensor has its type. */
import { Command, Option } from "commander";
import { UsageError } from "../../errors.ts";
import { diffPlans } from "../../plan/diff.ts";
import { explainTensor } from "../../plan/explain.ts";
import { PLAN_SCHEMA, type Plan } from "../../plan/plan.ts";
import type { PublishedRecipe } from "../../plan/published-recipe.ts";
import { renderDiffTable } from "../../report/terminal/diff-table.ts";
import { renderExplanation } from "../../report/terminal/explain-text.ts";
import { renderPlanTable } from "../../report/terminal/plan-table.ts";
import { renderRecipeTable } from "../../report/terminal/recipe-table.ts";
import type { CommandContext } from "../context.ts";
import { nextCommand } from "../next-command.ts";
import { jsonOption } from "../options.ts";
import { openOutput, type Result } from "../output.ts";
import { loadPlan, loadPlanOrRecipe } from "../read-document.ts";

interface ShowOptions {
  readonly diff?: string;
  readonly explain?: string;
  readonly json?: boolean;
}

export function showCommand(_context: CommandContext): Command {
  return new Command("show")
    .description("show a plan: as a table, against another plan, or why a tensor has its type; or a published recipe")
    .argument("<plan>", "a plan.json, or a recipe of plans/")
    .addOption(new Option("--diff <plan>", "what changes from this plan to another").conflicts("explain"))
    .addOption(new Option("--explain <tensor>", "why a tensor has its type, and what the others would cost"))
    .addOption(jsonOption())
    .action(async (path: string, options: ShowOptions) => openOutput(options).result(await show(path, options)));
}

async function show(path: string, { diff, explain }: ShowOptions): Promise<Result> {
  const plan = await loadPlanOrRecipe(path);
  if (plan.schema !== PLAN_SCHEMA) return showRecipe(path, plan, diff ?? explain);
  if (diff !== undefined) {
    const difference = diffPlans(plan, await loadPlan(diff));
    const text = () => renderDiffTable(difference);
    return { document: difference, text, next: nextCommand("prism", "quantize", diff) };
  }
  if (explain !== undefined) {
    const explanation = explainTensor(plan, explain);
    const text = () => renderExplanation(explanation);
    return { document: explanation, text, next: nextCommand("prism", "show", path) };
  }
  return {
    document: plan,
    text: () => `${renderPlanTable(plan)}${explainHint(plan, path)}`,
    next: nextCommand("prism", "quantize", path),
  };
}

function showRecipe(path: string, recipe: PublishedRecipe, option: string | undefined): Result {
  const next = nextCommand("prism", "plan", "MODEL.gguf", "--recipe", path);
  if (option !== undefined) {
    throw new UsageError(`${path} is a published recipe, and --diff and --explain need a plan; make one with ${next}`);
  }
  return { document: recipe, text: () => renderRecipeTable(recipe), next };
}

/** How to ask about the tensor with the largest share of the loss. */
function explainHint({ tensors }: Plan, path: string): string {
  const [largest] = [...tensors].sort((a, b) => (b.lossShare ?? 0) - (a.lossShare ?? 0));
  if (largest?.lossShare === undefined) return "";
  return `\nwhy a type: ${nextCommand("prism", "show", path, "--explain", largest.name)}`;
}
