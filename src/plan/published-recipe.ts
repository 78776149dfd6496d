/**
 * A llama-quantize command line that somebody published, and what llama-quantize makes of it now (`prism.recipe/1`).
 * Its patterns cover part of the tensors: the stock mix of the base type decides the rest.
 */
import { Ajv, type ValidateFunction } from "ajv";
import { FormatError } from "../errors.ts";
import { FILE_TYPE_NAMES, FILE_TYPES, type FileType } from "../ggml/file-types.ts";
import type { ModelFacts } from "../ggml/model-facts.ts";
import { type RuleTensor, stockTypes } from "../ggml/stock-mix.ts";
import { isQuantizedType, TENSOR_TYPE_NAMES, type TensorType, tensorBytes } from "../ggml/tensor-types.ts";
import { assignByPatterns, type Override } from "./patterns.ts";

export const RECIPE_SCHEMA = "prism.recipe/1";

export interface PublishedRecipe {
  readonly schema: typeof RECIPE_SCHEMA;
  readonly name: string;
  readonly model: string;
  /** `general.architecture` of the model. */
  readonly arch: string;
  readonly author: string;
  readonly license: string;
  readonly url: string;
  /** Where the tensor list and the hyperparameters are from, and what was derived. */
  readonly provenance: readonly string[];
  /** The overrides in the order of the command line, and its preset. */
  readonly command: { readonly baseFileType: FileType; readonly tensorTypes: readonly Override[] };
  /** What the author says the file has; it was made by another version. Megabytes are 10⁶ bytes. */
  readonly published: {
    readonly targetBpw: number;
    readonly bpw: number;
    readonly megabytes: number;
    readonly ppl: number;
    readonly pplOfQ3KM: number;
  };
  /** What the command gives under `llamaCpp`. */
  readonly today: {
    readonly llamaCpp: string;
    readonly tensorBytes: number;
    readonly elements: number;
    readonly bpw: number;
  };
  readonly tensors: readonly {
    readonly name: string;
    readonly shape: readonly number[];
    readonly type: TensorType;
    readonly bytes: number;
  }[];
}

/**
 * The type of every tensor under a preset with --tensor-type patterns as they were typed, in output order. The rules of
 * the preset count only the tensors that no pattern matches, so a pattern shifts what the others get.
 */
export function resolveOverrides(
  facts: ModelFacts,
  tensors: readonly RuleTensor[],
  baseFileType: FileType,
  tensorTypes: readonly Override[],
  options: { readonly imatrix?: boolean } = {},
): Map<string, TensorType> {
  const overrides = assignByPatterns(
    tensors.map(({ name }) => name),
    tensorTypes,
  );
  return stockTypes(facts, tensors, baseFileType, { ...options, overrides });
}

/** Characters of a name, a pattern or a line of provenance. */
const MAX_TEXT = 1024;

const name = { type: "string", minLength: 1, maxLength: 255 };
const line = { type: "string", maxLength: MAX_TEXT };
const type = { enum: TENSOR_TYPE_NAMES };
const whole = { type: "integer", minimum: 0, maximum: Number.MAX_SAFE_INTEGER };
const amount = { type: "number", minimum: 0 };

const object = (properties: Record<string, unknown>) => ({
  type: "object",
  properties,
  required: Object.keys(properties),
});

const SCHEMA = object({
  schema: { const: RECIPE_SCHEMA },
  name,
  model: name,
  arch: name,
  author: name,
  license: name,
  url: line,
  provenance: { type: "array", items: line, maxItems: 100 },
  command: object({
    baseFileType: { enum: FILE_TYPE_NAMES.filter((fileType) => isQuantizedType(FILE_TYPES[fileType].defaultType)) },
    tensorTypes: { type: "array", items: object({ pattern: { ...line, minLength: 1 }, type }), minItems: 1 },
  }),
  published: object({ targetBpw: amount, bpw: amount, megabytes: amount, ppl: amount, pplOfQ3KM: amount }),
  today: object({ llamaCpp: name, tensorBytes: whole, elements: { ...whole, minimum: 1 }, bpw: amount }),
  tensors: {
    type: "array",
    minItems: 1,
    maxItems: 200_000,
    items: object({
      name,
      type,
      bytes: whole,
      shape: { type: "array", items: { ...whole, minimum: 1 }, minItems: 1, maxItems: 4 },
    }),
  },
});

let compiled: ValidateFunction<PublishedRecipe> | undefined;

/** Read a published recipe. Throws FormatError. */
export function readRecipe(text: string, path: string): PublishedRecipe {
  let recipe: unknown;
  try {
    recipe = JSON.parse(text);
  } catch (error) {
    throw new FormatError(path, `is not JSON: ${(error as Error).message}`, { cause: error });
  }
  compiled ??= new Ajv({ strict: true }).compile<PublishedRecipe>(SCHEMA);
  const validate = compiled;
  if (!validate(recipe)) {
    const [first] = validate.errors ?? [];
    throw new FormatError(
      path,
      `expected a ${RECIPE_SCHEMA} document: ${first?.instancePath || "it"} ${first?.message}`,
    );
  }
  for (const { pattern } of recipe.command.tensorTypes) checkPattern(pattern, path);
  for (const tensor of recipe.tensors) checkBytes(tensor, path);
  return recipe;
}

function checkPattern(pattern: string, path: string): void {
  try {
    new RegExp(pattern.toLowerCase());
  } catch (error) {
    throw new FormatError(path, `pattern ${JSON.stringify(pattern)}: ${(error as Error).message}`, { cause: error });
  }
}

function checkBytes({ name, shape, type, bytes }: PublishedRecipe["tensors"][number], path: string): void {
  let expected: number;
  try {
    expected = tensorBytes(type, shape);
  } catch (error) {
    throw new FormatError(path, `tensor ${name}: ${(error as Error).message}`, { cause: error });
  }
  if (bytes === expected) return;
  throw new FormatError(path, `tensor ${name}: ${shape.join(" x ")} in ${type} are ${expected} bytes, got ${bytes}`);
}
