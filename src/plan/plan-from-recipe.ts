/**
 * A published recipe on somebody's own model: what llama-quantize makes of the command line there, priced as a plan.
 * The patterns decide their tensors and the stock mix of the base type the rest, exactly as in today's llama-quantize.
 */
import type { Analysis } from "../analyze/analysis.ts";
import { UsageError } from "../errors.ts";
import { leftAloneReason } from "../ggml/eligibility.ts";
import type { Sensitivity } from "../sensitivity/sensitivity.ts";
import { matchPatterns, type Override } from "./patterns.ts";
import type { Plan } from "./plan.ts";
import { planFromTypes } from "./plan-from-types.ts";
import { printable } from "./printable.ts";
import { type PublishedRecipe, resolveOverrides } from "./published-recipe.ts";
import { overrideToken } from "./tensor-types.ts";

export interface RecipePlanOptions {
  readonly analysis: Analysis;
  readonly sensitivity: Sensitivity;
  readonly recipe: PublishedRecipe;
  /** How the recipe was asked for: stands in the plan as what was asked. */
  readonly text: string;
  /** ISO 8601. Default: now. */
  readonly createdAt?: string;
}

/**
 * Apply a recipe, mode and reason `recipe`. Throws UsageError for a model that the recipe's patterns don't fit, and for
 * types that need an imatrix where there is none.
 */
export function planFromRecipe({ analysis, recipe, ...rest }: RecipePlanOptions): Plan {
  checkFits(recipe, { arch: analysis.facts.arch, tensors: analysis.tensors });
  const { baseFileType, tensorTypes } = recipe.command;
  const tensors = analysis.tensors.map(({ name, shape, sourceType }) => ({ name, shape, type: sourceType }));
  const imatrix = analysis.imatrix !== undefined;
  const types = resolveOverrides(analysis.facts, tensors, baseFileType, tensorTypes, { imatrix });
  const matched = matchPatterns([...types.keys()], tensorTypes);
  const notes = new Map(
    [...types.keys()].map((name) => {
      const override = matched.get(name);
      return [name, override ? `--tensor-type ${overrideToken(override)}` : `what ${baseFileType} gives the rest`];
    }),
  );
  return planFromTypes({ ...rest, analysis, types, notes, baseFileType });
}

/** What a recipe is held against: a model or its analysis. */
export interface RecipeModel {
  readonly arch: string;
  readonly tensors: readonly { readonly name: string; readonly shape: readonly number[] }[];
}

/** The overrides that decide a tensor of the recipe's own model and none of this one. */
export function idleOverrides({ command, tensors }: PublishedRecipe, model: Pick<RecipeModel, "tensors">): Override[] {
  const own = deciding(tensors, command.tensorTypes);
  const here = deciding(model.tensors, command.tensorTypes);
  return command.tensorTypes.filter((override) => own.has(override) && !here.has(override));
}

function deciding(tensors: RecipeModel["tensors"], overrides: readonly Override[]): Set<Override> {
  const eligible = tensors.filter((tensor) => leftAloneReason(tensor) === undefined);
  return new Set(
    matchPatterns(
      eligible.map(({ name }) => name),
      overrides,
    ).values(),
  );
}

/**
 * Throw UsageError for a model the recipe doesn't fit. One of the same architecture may lack a tensor (a head of its
 * own, say); one of another must have something for every pattern.
 */
export function checkFits(recipe: PublishedRecipe, model: RecipeModel): void {
  const idle = model.arch === recipe.arch ? [] : idleOverrides(recipe, model);
  if (idle.length === 0) return;
  const patterns = idle.map(({ pattern }) => printable(pattern)).join(", ");
  throw new UsageError(
    `the recipe ${printable(recipe.name)} is for ${printable(recipe.arch)} models and this one is ${printable(model.arch)}: ` +
      `no tensor here matches ${patterns}; give a model the recipe was made for, or plan this one with --like or --bpw`,
  );
}
