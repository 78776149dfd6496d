/** Analyses of real files with distortions from a formula: which types a plan takes matters here, not why. */
import type { Analysis, Estimate, TensorAnalysis } from "../../src/analyze/analysis.ts";
import { candidateTypes } from "../../src/ggml/candidates.ts";
import { ineligibleReason } from "../../src/ggml/eligibility.ts";
import { tensorClass } from "../../src/ggml/tensor-class.ts";
import { bitsPerWeight, type TensorType } from "../../src/ggml/tensor-types.ts";
import { readFacts } from "../../src/gguf/facts.ts";
import type { TensorInfo } from "../../src/gguf/model.ts";
import { openModel } from "../../src/gguf/open.ts";
import { importanceOf } from "../../src/imatrix/check.ts";
import type { Imatrix } from "../../src/imatrix/imatrix.ts";
import { createRandom, seedFromName } from "../../src/random.ts";

/** Analyze the model at `path` without measuring anything. */
export async function madeUpAnalysis(path: string, imatrix?: Imatrix): Promise<Analysis> {
  const file = await openModel(path);
  await file.close();
  const { model } = file;
  const tensors = model.tensors.map((tensor) => describe(tensor, imatrix));
  return {
    schema: "prism.analysis/1",
    prismVersion: "0.0.0",
    createdAt: "2026-01-01T00:00:00.000Z",
    model: {
      path,
      shards: model.shards.map((shard) => shard.path),
      arch: model.arch,
      tensorCount: tensors.length,
      elements: tensors.reduce((sum, { elements }) => sum + elements, 0),
      fileBytes: model.shards.reduce((sum, { fileBytes }) => sum + fileBytes, 0),
      headerHash: model.headerHash,
    },
    facts: readFacts(model),
    engine: { version: "0", origin: "none" },
    backend: "none",
    ...(imatrix === undefined ? {} : { imatrix }),
    sampling: {
      exactMetrics: false,
      exactDistortion: false,
      seed: 0,
      targetRelativeSe: 0.02,
      bytesRead: 0,
      elapsedMs: 0,
    },
    tensors,
    classes: [],
  };
}

function describe({ name, shape, type, elements }: TensorInfo, imatrix: Imatrix | undefined): TensorAnalysis {
  const reason = ineligibleReason({ name, shape, type });
  const common = { name, ...tensorClass(name), shape, elements, sourceType: type, eligible: reason === undefined };
  if (reason !== undefined) return { ...common, ineligibleReason: reason };
  const found = imatrix === undefined ? undefined : importanceOf(imatrix, { name, shape });
  const importance = found === undefined || typeof found === "string" ? found : "used";
  const distortion: Partial<Record<TensorType, Estimate>> = {};
  for (const type of candidateTypes({ name, shape }, { importance: importance === "used" })) {
    // Falls by 4 per bit; the factor makes a plan mix types within every class.
    const factor = Math.exp(2 * createRandom(seedFromName(`${name} ${type}`, 1))() - 1);
    distortion[type] = { value: factor * 4 ** -bitsPerWeight(type), se: 0 };
  }
  return { ...common, ...(importance === undefined ? {} : { importance }), distortion };
}
