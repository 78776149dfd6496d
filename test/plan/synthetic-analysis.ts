/** Analyses of models that don't exist: real tensor names and shapes, distortion from a formula. */
import type { Analysis, Estimate, TensorAnalysis } from "../../src/analyze/analysis.ts";
import { candidateTypes } from "../../src/ggml/candidates.ts";
import { ineligibleReason } from "../../src/ggml/eligibility.ts";
import type { ModelFacts } from "../../src/ggml/model-facts.ts";
import { tensorClass } from "../../src/ggml/tensor-class.ts";
import { bitsPerWeight, elementCount, isFloatType, type TensorType } from "../../src/ggml/tensor-types.ts";
import type { Sensitivity } from "../../src/sensitivity/sensitivity.ts";

export interface Synthetic {
  readonly layers?: number;
  readonly nextnLayers?: number;
  readonly width?: number;
  readonly tied?: boolean;
  readonly alignment?: number;
  readonly imatrix?: boolean;
  /** More tensors, by name. */
  readonly extra?: Readonly<Record<string, readonly number[]>>;
  readonly sourceType?: TensorType;
}

export function syntheticAnalysis(options: Synthetic = {}): Analysis {
  const { layers = 4, width = 256, tied = false, imatrix = false, sourceType = "F16", extra = {} } = options;
  const shapes: Record<string, readonly number[]> = {
    "output_norm.weight": [width],
    "token_embd.weight": [width, 2048],
  };
  if (!tied) shapes["output.weight"] = [width, 2048];
  for (let layer = 0; layer < layers; layer++) {
    const block = `blk.${layer}.`;
    shapes[`${block}attn_norm.weight`] = [width];
    for (const part of ["attn_q", "attn_k", "attn_v", "attn_output"]) shapes[`${block}${part}.weight`] = [width, width];
    for (const part of ["ffn_gate", "ffn_up"]) shapes[`${block}${part}.weight`] = [width, 3 * width];
    shapes[`${block}ffn_down.weight`] = [3 * width, width];
  }
  Object.assign(shapes, extra);
  const tensors = Object.entries(shapes).map(([name, shape]) => tensorOf(name, shape, sourceType, imatrix));
  return {
    schema: "prism.analysis/1",
    prismVersion: "0.0.0",
    createdAt: "2026-01-01T00:00:00.000Z",
    model: {
      path: "models/tiny-f16.gguf",
      shards: ["models/tiny-f16.gguf"],
      arch: "llama",
      name: "Tiny",
      tensorCount: tensors.length,
      elements: tensors.reduce((sum, { elements }) => sum + elements, 0),
      fileBytes: 4 * tensors.reduce((sum, { elements }) => sum + elements, 0),
      headerHash: "ab".repeat(32),
    },
    facts: factsOf(options),
    engine: { version: "0", origin: "test" },
    backend: "reference",
    ...(imatrix
      ? {
          imatrix: {
            path: "imatrix.gguf",
            sha256: "0",
            file: "imatrix.gguf",
            dataset: "text.txt",
            entries: 9,
            chunks: 4,
          },
        }
      : {}),
    sampling: {
      exactMetrics: false,
      exactDistortion: false,
      seed: 1,
      targetRelativeSe: 0.02,
      bytesRead: 0,
      elapsedMs: 0,
    },
    tensors,
    classes: [],
  };
}

function factsOf({ layers = 4, nextnLayers = 0, tied = false, alignment = 32 }: Synthetic): ModelFacts {
  return {
    arch: "llama",
    layers,
    nextnLayers,
    heads: 4,
    kvHeads: 4,
    experts: 0,
    hasOutput: !tied,
    rankPooling: false,
    alignment,
    vocabSize: 2048,
    contextTrain: 256,
    outputHeaderBytes: 12_345,
  };
}

function tensorOf(name: string, shape: readonly number[], source: TensorType, imatrix: boolean): TensorAnalysis {
  const reason = ineligibleReason({ name, shape, type: source });
  const importance = imatrix ? (name.startsWith("blk.") ? "used" : "missing") : undefined;
  const common = {
    name,
    ...tensorClass(name),
    shape,
    elements: elementCount(shape),
    sourceType: reason === undefined ? source : ("F32" as const),
    eligible: reason === undefined,
  };
  if (reason !== undefined) return { ...common, ineligibleReason: reason };
  const types = candidateTypes({ name, shape }, { importance: importance === "used" });
  const distortion: Partial<Record<TensorType, Estimate>> = {};
  for (const type of types) distortion[type] = { value: distortionOf(name, type), se: 0 };
  return { ...common, ...(importance ? { importance } : {}), distortion };
}

/** Falls by 4 per bit, and differs a little between tensors so that no two are alike. */
function distortionOf(name: string, type: TensorType): number {
  if (isFloatType(type)) return 1e-8;
  let hash = 7;
  for (const char of `${name}${type}`) hash = (hash * 31 + char.charCodeAt(0)) % 9973;
  return 4 ** -bitsPerWeight(type) * (1 + 0.2 * (hash / 9973));
}

export function uniformSensitivity(analysis: Analysis): Sensitivity {
  const values = new Map(analysis.tensors.filter(({ eligible }) => eligible).map((t) => [t.name, t.elements]));
  return { mode: "uniform", version: "uniform/1", lossUnit: "relative", values };
}
