/**
 * A llama-quantize command line that somebody published, and what llama-quantize makes of it now (`prism.recipe/1`).
 * Its patterns cover part of the tensors: the stock mix of the base type decides the rest.
 */
import { defineDocument } from "../documents/document-kind.ts";
import * as t from "../documents/fields.ts";
import { readDocument } from "../documents/read-document.ts";
import { FormatError } from "../errors.ts";
import { FILE_TYPE_NAMES, FILE_TYPES, type FileType } from "../ggml/file-types.ts";
import type { ModelFacts } from "../ggml/model-facts.ts";
import { type RuleTensor, stockTypes } from "../ggml/stock-mix.ts";
import { isQuantizedType, type TensorType, tensorBytes } from "../ggml/tensor-types.ts";
import { TENSOR_TYPE } from "../ggml/type-fields.ts";
import { assignByPatterns, type Override, overridePattern } from "./patterns.ts";

export const RECIPE = defineDocument({
  id: "prism.recipe/1",
  noun: "a published recipe",
  remedy: "take one of plans/*-prism-dq.json",
  description: "A llama-quantize command line that somebody published, and what llama-quantize makes of it now.",
  schema: t.object({
    schema: t.exactly("prism.recipe/1"),
    name: t.name(),
    model: t.name(),
    arch: t.name("`general.architecture` of the model."),
    author: t.name(),
    license: t.name(),
    url: t.text(),
    provenance: t.list(t.text(), {
      maxItems: 100,
      description: "Where the tensor list and the hyperparameters are from, and what was derived.",
    }),
    command: t.object(
      {
        baseFileType: t.oneOf(FILE_TYPE_NAMES.filter((fileType) => isQuantizedType(FILE_TYPES[fileType].defaultType))),
        tensorTypes: t.list(t.object({ pattern: t.name(), type: TENSOR_TYPE }), { minItems: 1, maxItems: 10_000 }),
      },
      "The overrides in the order of the command line, and its preset.",
    ),
    published: t.object(
      { targetBpw: t.amount(), bpw: t.amount(), megabytes: t.amount(), ppl: t.amount(), pplOfQ3KM: t.amount() },
      "What the author says the file has; it was made by another version. Megabytes are 10⁶ bytes.",
    ),
    today: t.object(
      { llamaCpp: t.name(), tensorBytes: t.bytes(), elements: t.some(), bpw: t.amount() },
      "What the command gives under `llamaCpp`.",
    ),
    tensors: t.list(
      t.object({
        name: t.name(),
        shape: t.list(t.some(), { minItems: 1, maxItems: 4 }),
        type: TENSOR_TYPE,
        bytes: t.bytes(),
      }),
      {
        minItems: 1,
        maxItems: 200_000,
      },
    ),
  }),
});
export interface PublishedRecipe extends t.Content<typeof RECIPE.schema> {}

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

/** Read a published recipe. Throws FormatError. */
export function readRecipe(text: string, path: string): PublishedRecipe {
  const recipe = readDocument(text, path, RECIPE);
  for (const { pattern } of recipe.command.tensorTypes) checkPattern(pattern, path);
  for (const tensor of recipe.tensors) checkBytes(tensor, path);
  return recipe;
}

function checkPattern(pattern: string, path: string): void {
  try {
    overridePattern(pattern);
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
