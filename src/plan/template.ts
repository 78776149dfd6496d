/**
 * The types of another file, to be put on a model: those of its tensors by name (a GGUF, a plan), patterns (a file of
 * `--tensor-type-file`, a recipe of Thireus' GGUF Tool Suite), or a published command line. What is refused is refused by
 * the header, before a model is analysed.
 */
import { UsageError } from "../errors.ts";
import { ineligibleReason } from "../ggml/eligibility.ts";
import { fallbackType } from "../ggml/fallback.ts";
import { FILE_TYPES, type FileType } from "../ggml/file-types.ts";
import type { ModelFacts } from "../ggml/model-facts.ts";
import { type RuleTensor, stockTypes } from "../ggml/stock-mix.ts";
import { isQuantizedType, type TensorType } from "../ggml/tensor-types.ts";
import { matchPatterns, type Override } from "./patterns.ts";
import { printable } from "./printable.ts";
import type { PublishedRecipe } from "./published-recipe.ts";
import { overrideToken } from "./tensor-types.ts";

export type Template = TensorTemplate | PatternTemplate | RecipeTemplate;

/** Another model's tensors. */
export interface TensorTemplate {
  readonly kind: "tensors";
  /** How messages call it. */
  readonly name: string;
  readonly arch: string;
  /** 0: not known. */
  readonly layers: number;
  readonly tensors: readonly TemplateTensor[];
  /** Its preset, where it says one that can give tensors their types: what it doesn't name gets that preset's. */
  readonly base?: FileType | undefined;
}

export interface TemplateTensor {
  readonly name: string;
  readonly shape: readonly number[];
  readonly type: TensorType;
}

export interface PatternTemplate {
  readonly kind: "patterns";
  readonly name: string;
  readonly overrides: readonly Override[];
}

export interface RecipeTemplate {
  readonly kind: "recipe";
  readonly name: string;
  readonly recipe: PublishedRecipe;
}

/** What a template is put on. */
export interface TemplateModel {
  readonly facts: ModelFacts;
  /** With the types they have in the source. */
  readonly tensors: readonly RuleTensor[];
}

export interface TemplateOptions {
  /** The preset that gives the tensors their types which the template doesn't name. */
  readonly base?: FileType | undefined;
  /** Whether an imatrix is given: the rules of a preset depend on it. */
  readonly imatrix?: boolean;
}

export interface TemplatedTypes {
  /** Of every tensor that is quantized; llama-quantize's fallback is applied. */
  readonly types: ReadonlyMap<string, TensorType>;
  /** Why each has its type. */
  readonly notes: ReadonlyMap<string, string>;
  readonly base: FileType | undefined;
  /** What a person should know of how it fits, in words. */
  readonly remarks: readonly string[];
}

/** Names in a message before "and N more". */
const SHOWN_NAMES = 3;

/** Put a template on a model. Throws UsageError for a model it doesn't fit, and for tensors that nothing gives a type. */
export function templateTypes(
  template: Exclude<Template, RecipeTemplate>,
  { facts, tensors }: TemplateModel,
  { base: asked, imatrix = false }: TemplateOptions = {},
): TemplatedTypes {
  const eligible = tensors.filter((tensor) => ineligibleReason(tensor) === undefined);
  const names = eligible.map(({ name }) => name);
  const found = template.kind === "tensors" ? byName(template, facts) : byPattern(template, names);
  const given = names.filter((name) => found.has(name));
  if (given.length === 0) {
    throw new UsageError(
      `${template.name}: it names no tensor of this model that llama-quantize quantizes; give a template for ${facts.arch} models`,
    );
  }
  const left = names.filter((name) => !found.has(name));
  const base = asked ?? (template.kind === "tensors" ? template.base : undefined);
  if (left.length > 0 && base === undefined) {
    throw new UsageError(
      `${template.name}: it gives ${listed(left)} no type; say with --base which preset gives them theirs, like --base Q4_K_M`,
    );
  }
  if (base !== undefined && !isQuantizedType(FILE_TYPES[base].defaultType)) {
    throw new UsageError(`--base ${base}: its own type is a float, and llama-quantize ignores other types beside it`);
  }
  const overrides = new Map(given.map((name) => [name, found.get(name)?.type as TensorType]));
  const stock =
    left.length === 0 || base === undefined ? overrides : stockTypes(facts, tensors, base, { imatrix, overrides });
  const types = new Map<string, TensorType>();
  const notes = new Map<string, string>();
  const fellBack: string[] = [];
  for (const { name, shape, type: sourceType } of eligible) {
    const wanted = stock.get(name) ?? sourceType;
    const row = shape[0] ?? 1;
    const type = fallbackType(wanted, row);
    const why = found.get(name)?.note ?? `what ${base} gives the rest`;
    types.set(name, type);
    notes.set(name, type === wanted ? why : `${why}: ${wanted}, but rows of ${row} take ${type}`);
    if (type !== wanted) fellBack.push(name);
  }
  const remarks = [
    ...(left.length === 0
      ? []
      : [`${listed(left)} ${are(left)} not in ${template.name}: what ${base} gives ${them(left)}`]),
    ...(fellBack.length === 0
      ? []
      : [
          `the rows of ${listed(fellBack)} don't fit the blocks of the template's type: llama-quantize's fallback is taken`,
        ]),
    ...idle(template, tensors),
  ];
  return { types, notes, base, remarks };
}

type Found = ReadonlyMap<string, { readonly type: TensorType; readonly note: string }>;

function byName({ name, arch, layers, tensors }: TensorTemplate, facts: ModelFacts): Found {
  if (arch !== facts.arch) {
    throw new UsageError(
      `${name}: it is for ${printable(arch)} models and this one is ${printable(facts.arch)}; give a file of this architecture`,
    );
  }
  if (layers !== 0 && facts.layers !== 0 && layers !== facts.layers) {
    throw new UsageError(
      `${name}: it has ${layers} layers and this model ${facts.layers}: its types belong to other places; give a file of a model of ${facts.layers} layers, or patterns that hold for any (tensor-types.txt)`,
    );
  }
  return new Map(tensors.map((tensor) => [tensor.name, { type: tensor.type, note: `as in ${name}` }]));
}

function byPattern({ overrides }: PatternTemplate, names: readonly string[]): Found {
  return new Map(
    [...matchPatterns(names, overrides)].map(([name, override]) => [
      name,
      { type: override.type, note: overrideToken(override) },
    ]),
  );
}

/** What of the template decides nothing here. */
function idle(template: Exclude<Template, RecipeTemplate>, tensors: readonly RuleTensor[]): string[] {
  const names = tensors.map(({ name }) => name);
  if (template.kind === "patterns") {
    const deciding = new Set(matchPatterns(names, template.overrides).values());
    const unused = template.overrides.filter((override) => !deciding.has(override)).map(({ pattern }) => pattern);
    return unused.length === 0 ? [] : [`no tensor of this model is decided by ${listed(unused)} of ${template.name}`];
  }
  const here = new Set(names);
  const missing = template.tensors.filter(({ name }) => !here.has(name)).map(({ name }) => name);
  return missing.length === 0
    ? []
    : [`this model has no ${listed(missing)}, which ${are(missing)} in ${template.name}`];
}

const are = (names: readonly string[]) => (names.length === 1 ? "is" : "are");
const them = (names: readonly string[]) => (names.length === 1 ? "it" : "them");

function listed(names: readonly string[]): string {
  const shown = names.slice(0, SHOWN_NAMES).map(printable).join(", ");
  return names.length <= SHOWN_NAMES ? shown : `${shown} and ${names.length - SHOWN_NAMES} more`;
}
