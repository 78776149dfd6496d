/**
 * What a run quantizes and evaluates beside the plan: stock presets with and without the importance matrix, the uniform types around the plan's size, published
 * recipes for this very model, the types of other files, the plan with s = elements where another sensitivity was used, the plan without the guard of
 * the head where that binds, and shuffles of equal bytes. Pure choice; run.ts does the work.
 */

import type { Analysis } from "../analyze/analysis.ts";
import type { EngineImatrix } from "../engine/engine.ts";
import { COMMON_TYPES } from "../ggml/candidates.ts";
import { COMMON_FILE_TYPES, type FileType } from "../ggml/file-types.ts";
import type { TensorType } from "../ggml/tensor-types.ts";
import { presetTypes } from "../plan/budget.ts";
import { makePlan, type PlanOptions } from "../plan/make-plan.ts";
import type { Plan } from "../plan/plan.ts";
import { planFromRecipe } from "../plan/plan-from-recipe.ts";
import { planFromTemplate } from "../plan/plan-from-template.ts";
import type { PublishedRecipe } from "../plan/published-recipe.ts";
import { tensorChoices } from "../plan/replan.ts";
import { planSpec, presetSpec, typedFileBytes, uniformSpec, uniformTypes } from "../quantize/plan-spec.ts";
import type { QuantizeSpec } from "../quantize/quantize.ts";
import { type Sensitivity, uniformSensitivity } from "../sensitivity/sensitivity.ts";
import { shuffleSensitivity } from "../sensitivity/shuffle.ts";
import { plainLabel } from "./plain-label.ts";
import type { RowKind } from "./run-document.ts";
import type { NamedTemplate } from "./run-request.ts";

export interface Candidate {
  readonly label: string;
  readonly kind: RowKind;
  /** Safe in a file name. */
  readonly slug: string;
  readonly spec: QuantizeSpec;
  /** Its own, where it is not by the run's plan. */
  readonly plan?: Plan;
}

/** Design: at least three seeds. */
const SHUFFLE_SEEDS = [1, 2, 3] as const;

/** What the guard of the head costs or saves. */
const UNGUARDED = { label: "plan without head guard", kind: "unguarded", slug: "unguarded" } as const;

export interface CandidateOptions {
  readonly plan: Plan;
  /** What the plan was made from: the shuffles are solved with the same. */
  readonly planOptions: PlanOptions;
  readonly baselines: readonly FileType[];
  /** Presets that are compared with besides. */
  readonly required?: readonly FileType[];
  /** Published recipes that were made for this model's shapes. */
  readonly recipes?: readonly PublishedRecipe[];
  /** Types of other files (rivals.ts has whole files). */
  readonly templates?: readonly NamedTemplate[];
  readonly imatrix?: EngineImatrix | undefined;
  /** Where a candidate's model is written. */
  readonly pathOf: (slug: string) => string;
}

/** All controls of a run, the plan not among them. The baselines were checked (baselines.ts). */
export function chooseControls(options: CandidateOptions): Candidate[] {
  const { plan, imatrix, pathOf } = options;
  const presets = options.baselines.length > 0 ? options.baselines : neighbourPresets(plan, imatrix !== undefined);
  const { required = [] } = options;
  return [
    ...[...new Set([...presets, ...required])].map((preset) => presetCandidate(plan, preset, pathOf, imatrix)),
    ...(imatrix === undefined || options.baselines.length > 0
      ? []
      : presets.map((preset) => plainCandidate(plan, preset, pathOf))),
    ...neighbourTypes(plan).map((type): Candidate => {
      const slug = `uniform-${type}`;
      return { label: `all ${type}`, kind: "uniform", slug, spec: uniformSpec(plan, type, pathOf(slug), imatrix) };
    }),
    ...publishedControls(options),
    ...templateControls(options),
    ...solvedControls(options),
  ];
}

/** What today's llama-quantize makes of each recipe: a file of its own size, beside the plan's. */
function publishedControls({ planOptions, recipes = [], imatrix, pathOf }: CandidateOptions): Candidate[] {
  const { analysis, sensitivity } = planOptions;
  return recipes.map((recipe, index): Candidate => {
    const text = `the recipe ${recipe.name}`;
    const published = planFromRecipe({ analysis, sensitivity, recipe, text });
    const slug = `published-${index + 1}`;
    const spec = planSpec(published, pathOf(slug), imatrix);
    return { label: recipe.name, kind: "published", slug, spec };
  });
}

/** What this run's quantizer and importance matrix make of the types of another file. */
function templateControls({ planOptions, templates = [], imatrix, pathOf }: CandidateOptions): Candidate[] {
  const { analysis, sensitivity } = planOptions;
  return templates.map(({ label, template }, index): Candidate => {
    const { plan } = planFromTemplate({ analysis, sensitivity, template, text: `the types of ${label}` });
    const slug = `template-${index + 1}`;
    return { label, kind: "published", slug, spec: planSpec(plan, pathOf(slug), imatrix) };
  });
}

export function presetCandidate(
  plan: Plan,
  preset: FileType,
  pathOf: CandidateOptions["pathOf"],
  imatrix: EngineImatrix | undefined,
): Candidate {
  const slug = `preset-${preset}`;
  return { label: preset, kind: "preset", slug, spec: presetSpec(plan, preset, pathOf(slug), imatrix) };
}

/** The preset without the importance matrix: the matrix's own gain. None of the neighbours needs one. */
function plainCandidate(
  { imatrix: _, ...plan }: Plan,
  preset: FileType,
  pathOf: CandidateOptions["pathOf"],
): Candidate {
  const slug = `plain-${preset}`;
  return { label: plainLabel(preset), kind: "plain", slug, spec: presetSpec(plan, preset, pathOf(slug)) };
}

function solvedControls({ plan, planOptions, imatrix, pathOf }: CandidateOptions): Candidate[] {
  const { analysis, sensitivity } = planOptions;
  const solved = (label: string, kind: RowKind, slug: string, control: Sensitivity): Candidate => {
    const controlPlan = makePlan({ ...planOptions, sensitivity: control });
    return { label, kind, slug, spec: planSpec(controlPlan, pathOf(slug), imatrix) };
  };
  const unguarded = makePlan({ ...planOptions, guards: { ...planOptions.guards, head: false } });
  return [
    ...(isUniform(analysis, sensitivity)
      ? []
      : [solved("s = elements", "uniform-s", "uniform-s", uniformSensitivity(analysis))]),
    ...(sameTypes(unguarded, plan)
      ? []
      : [{ ...UNGUARDED, spec: planSpec(unguarded, pathOf(UNGUARDED.slug), imatrix) }]),
    ...SHUFFLE_SEEDS.map((seed) =>
      solved(`shuffle ${seed}`, "shuffle", `shuffle-${seed}`, shuffleSensitivity(analysis, sensitivity, seed)),
    ),
  ];
}

function sameTypes(a: Plan, b: Plan): boolean {
  return a.tensors.every(({ type }, index) => type === b.tensors[index]?.type);
}

function isUniform(analysis: Analysis, sensitivity: Sensitivity): boolean {
  const uniform = uniformSensitivity(analysis).values;
  return [...sensitivity.values].every(([name, value]) => uniform.get(name) === value);
}

/** The largest preset that is no larger than the plan, and the smallest that is larger. */
export function neighbourPresets(plan: Plan, imatrix: boolean): FileType[] {
  return neighbours(sizedPresets(plan, imatrix), plan.predicted.fileBytes);
}

/** The preset nearest in size to the plan's budget. */
export function nearestPreset(plan: Plan, imatrix: boolean): FileType | undefined {
  const distance = ({ bytes }: { bytes: number }) => Math.abs(Math.log(bytes / plan.budget.fileBytes));
  return sizedPresets(plan, imatrix).sort((a, b) => distance(a) - distance(b))[0]?.name;
}

function sizedPresets(plan: Plan, imatrix: boolean): { name: FileType; bytes: number }[] {
  const tensors = tensorChoices(plan);
  return COMMON_FILE_TYPES.map((name) => ({
    name,
    bytes: typedFileBytes(plan, presetTypes(name, { facts: plan.facts, imatrix, tensors })),
  }));
}

/** The same of the uniform types. */
export function neighbourTypes(plan: Plan): TensorType[] {
  const sized = COMMON_TYPES.map((name) => ({ name, bytes: typedFileBytes(plan, uniformTypes(plan, name)) }));
  return neighbours(sized, plan.predicted.fileBytes);
}

function neighbours<Name>(sized: readonly { name: Name; bytes: number }[], bytes: number): Name[] {
  const sorted = [...sized].sort((a, b) => a.bytes - b.bytes);
  const below = sorted.filter((entry) => entry.bytes <= bytes).at(-1);
  const above = sorted.find((entry) => entry.bytes > bytes);
  return [below, above].filter((entry) => entry !== undefined).map(({ name }) => name);
}
