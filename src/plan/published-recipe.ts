/**
 * A llama-quantize command line that somebody published, and what llama-quantize makes of it now (`prism.recipe/1`).
 * Its patterns cover part of the tensors: the stock mix of the base type decides the rest.
 */
import { Ajv, type ValidateFunction } from "ajv";
import { FormatError } from "../errors.ts";
import { FILE_TYPE_NAMES, type FileType } from "../ggml/file-types.ts";
import type { ModelFacts } from "../ggml/model-facts.ts";
import { type RuleTensor, stockTypes } from "../ggml/stock-mix.ts";
import { TENSOR_TYPE_NAMES, type TensorType } from "../ggml/tensor-types.ts";
import { assignByPatterns, type Override } from "./patterns.ts";

export const RECIPE_SCHEMA = "prism.recipe/1";

export interface PublishedRecipe {
  readonly schema: typeof RECIPE_SCHEMA;
  readonly name: string;
  readonly model: string;
  readonly author: string;
  readonly license: string;
  readonly url: string;
  /** Where the tensor list and the hyperparameters are from, and what was derived. */
  readonly provenance: readonly string[];
  /** The overrides in the order of the command line, and its preset. */
  readonly command: { readonly baseFileType: FileType; readonly tensorTypes: readonly Override[] };
  /** What the author says the file has; it was made by another version. */
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

/** The type of every tensor under a preset with --tensor-type patterns as they were typed, in output order. */
export function resolveOverrides(
  facts: ModelFacts,
  tensors: readonly RuleTensor[],
  baseFileType: FileType,
  tensorTypes: readonly Override[],
): Map<string, TensorType> {
  const overrides = assignByPatterns(
    tensors.map(({ name }) => name),
    tensorTypes,
  );
  return stockTypes(facts, tensors, baseFileType, { overrides });
}

const name = { type: "string", minLength: 1, maxLength: 255 };
const type = { enum: TENSOR_TYPE_NAMES };
const whole = { type: "integer", minimum: 0 };

const SCHEMA = {
  type: "object",
  required: ["schema", "name", "model", "command", "today", "tensors"],
  properties: {
    schema: { const: RECIPE_SCHEMA },
    name,
    model: name,
    command: {
      type: "object",
      required: ["baseFileType", "tensorTypes"],
      properties: {
        baseFileType: { enum: FILE_TYPE_NAMES },
        tensorTypes: {
          type: "array",
          items: { type: "object", required: ["pattern", "type"], properties: { pattern: name, type } },
        },
      },
    },
    today: { type: "object" },
    tensors: {
      type: "array",
      maxItems: 200_000,
      items: {
        type: "object",
        required: ["name", "shape", "type", "bytes"],
        properties: { name, type, bytes: whole, shape: { type: "array", items: whole, minItems: 1, maxItems: 4 } },
      },
    },
  },
};

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
  if (validate(recipe)) return recipe;
  const [first] = validate.errors ?? [];
  throw new FormatError(path, `expected a ${RECIPE_SCHEMA} document: ${first?.instancePath || "it"} ${first?.message}`);
}
