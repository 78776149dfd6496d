/** Findings about weights that llama-quantize sets out to convert and fails on: a plan keeps them, no preset does. */
import { isFourDimensional } from "../ggml/convertible.ts";
import type { ModelFacts } from "../ggml/model-facts.ts";
import { ggmlTypeName } from "../ggml/tensor-types.ts";
import type { Model, TensorInfo } from "../gguf/model.ts";
import type { Finding } from "./finding-codes.ts";
import { decidedTypes, failingTensors } from "./preset-types.ts";

/** What it can't convert here it can't convert in the other presets either: the rows decide, or the type. */
const PRESET = "Q4_K_M";
/** Tensors named in a message; more are counted. */
const NAMED_TENSORS = 4;

/** Find the tensors that end llama-quantize, by how it ends. */
export function conversionFindings(model: Model, facts: ModelFacts): Finding[] {
  const failing = failingTensors(model, decidedTypes(model, facts, PRESET));
  const solid = failing.filter(({ shape }) => isFourDimensional(shape));
  const unreadable = failing.filter(({ shape }) => !isFourDimensional(shape));
  return [
    ...conversionFinding(solid, "converts no weights of four dimensions: under a preset it aborts (GGML_ASSERT)"),
    ...conversionFinding(unreadable, "reads no weights of this type: under a preset it gives up"),
  ];
}

function conversionFinding(tensors: readonly TensorInfo[], what: string): Finding[] {
  if (tensors.length === 0) return [];
  const shown = tensors
    .slice(0, NAMED_TENSORS)
    .map(({ name, type, shape }) => `${name} (${type}, ${shape.join(" x ")})`)
    .join(", ");
  const names = tensors.length > NAMED_TENSORS ? `${shown} and ${tensors.length - NAMED_TENSORS} more` : shown;
  const types = [...new Set(tensors.map(({ type }) => ggmlTypeName(type)))].join(", ");
  return [
    {
      code: "weights-unconvertible",
      severity: "error",
      message: `${names}: llama-quantize ${what}, so no preset can be made of this file`,
      remedy: `a plan keeps such weights as they are, and its recipe says so (--tensor-type ...=${types}): see prism plan`,
    },
  ];
}
