/** The PRISM-DQ recipes as documents: command, published numbers, and types and bytes under today's llama-quantize. */
import { leftAloneReason } from "../src/ggml/eligibility.ts";
import { bpw, tensorBytesTotal } from "../src/ggml/file-bytes.ts";
import { elementCount, tensorBytes } from "../src/ggml/tensor-types.ts";
import { type PublishedRecipe, resolveOverrides } from "../src/plan/published-recipe.ts";
import { PRISM_DQ, type PrismDq } from "./prism-dq.ts";
import { QWEN35, qwen35Facts, qwen35Tensors } from "./qwen35-shapes.ts";

// the alias Q3_K of the command lines
const BASE = "Q3_K_M";

const LISTED =
  "tensor list and shapes: equal to those of a real GGUF file in Thireus' GGUF Tool Suite (https://github.com/Thireus/GGUF-Tool-Suite, MIT)";
const DERIVED =
  "tensor list and shapes: derived from the public config of the model (hidden 2048, 24 layers, intermediate 6144, vocabulary 248320, 8 heads, 2 key-value heads, tied head) after the other sizes' lists; not compared with a real file, but the published 1107 MB at 4.69 bits per weight imply its number of weights within 0.4 %";

/** All documents, by file name. */
export function publishedDocuments(): Map<string, PublishedRecipe> {
  return new Map(PRISM_DQ.map((recipe) => [`${recipe.model.toLowerCase()}-prism-dq.json`, publishedDocument(recipe)]));
}

function publishedDocument({ model, tensorTypes, published }: PrismDq): PublishedRecipe {
  const shapes = QWEN35.find(({ name }) => name === model);
  if (!shapes) throw new Error(`no shapes for ${model}`);
  const sources = qwen35Tensors(shapes).map((tensor) => ({
    ...tensor,
    // converters write what is never quantized as f32
    type: leftAloneReason(tensor) === undefined ? ("BF16" as const) : ("F32" as const),
  }));
  const types = resolveOverrides(qwen35Facts(shapes), sources, BASE, tensorTypes);
  const shapeOf = new Map(sources.map(({ name, shape }) => [name, shape]));
  const tensors = [...types].map(([name, type]) => {
    const shape = shapeOf.get(name) ?? [];
    return { name, shape, type, bytes: tensorBytes(type, shape) };
  });
  return {
    schema: "prism.recipe/1",
    name: `${model} PRISM-DQ`,
    model,
    arch: qwen35Facts(shapes).arch,
    author: "Ex0bit",
    license: "Apache-2.0",
    url: "https://huggingface.co/Ex0bit/Qwen3.5-PRISM-Dynamic-Quant-GGUF",
    provenance: [
      model === "Qwen3.5-2B" ? DERIVED : LISTED,
      "types: what the published command gives under llama.cpp v0.5.0; the published file is larger, so another version or command made it",
    ],
    command: { baseFileType: BASE, tensorTypes },
    published,
    today: {
      llamaCpp: "v0.5.0",
      tensorBytes: tensorBytesTotal(tensors),
      elements: tensors.reduce((sum, { shape }) => sum + elementCount(shape), 0),
      bpw: Number(bpw(tensors).toFixed(4)),
    },
    tensors,
  };
}
