/** Types chosen elsewhere (a stock preset, one uniform type, a published recipe) as a plan, priced like any other. */
import type { Analysis } from "../analyze/analysis.ts";
import { fallbackType } from "../ggml/fallback.ts";
import { fileBytes } from "../ggml/file-bytes.ts";
import type { FileType } from "../ggml/file-types.ts";
import type { TensorType } from "../ggml/tensor-types.ts";
import { present } from "../present.ts";
import type { Sensitivity } from "../sensitivity/sensitivity.ts";
import { baseFileType, isBaseFileType } from "./base-file-type.ts";
import { priceTensor } from "./costing.ts";
import { analyzedChoices } from "./make-plan.ts";
import type { Plan } from "./plan.ts";
import { planHeaderBytes, predict } from "./predict.ts";
import { recostPlan } from "./recost.ts";

export interface TypesOptions {
  readonly analysis: Analysis;
  readonly sensitivity: Sensitivity;
  /** Per tensor name; llama-quantize's fallback is applied. Eligible tensors left out keep the source type. */
  readonly types: ReadonlyMap<string, TensorType>;
  /** Why a tensor has its type, in words, per tensor name. */
  readonly notes?: ReadonlyMap<string, string>;
  /** What these types are, in words: stands in the plan as what was asked. */
  readonly text: string;
  /** Kept if it can carry overrides, else the nearest that can. */
  readonly baseFileType?: FileType;
  /** ISO 8601. Default: now. */
  readonly createdAt?: string;
}

/**
 * Make a plan of given types, mode `recipe`. Its bound is the least loss any types reach in its bytes. Throws UsageError
 * for a type that llama-quantize can't store a tensor in.
 */
export function planFromTypes(options: TypesOptions): Plan {
  const { analysis, sensitivity, types, notes } = options;
  const identity = { facts: analysis.facts, ...(analysis.imatrix ? { imatrix: analysis.imatrix } : {}) };
  const tensors = analyzedChoices(analysis, sensitivity).map((tensor) => {
    if (!tensor.eligible) return priceTensor(tensor, tensor.sourceType, "ineligible");
    const type = fallbackType(types.get(tensor.name) ?? tensor.sourceType, tensor.shape[0] ?? 1);
    return priceTensor(tensor, type, "recipe", notes?.get(tensor.name));
  });
  const { baseFileType: asked } = options;
  return recostPlan({
    schema: "prism.plan/1",
    prismVersion: analysis.prismVersion,
    createdAt: options.createdAt ?? new Date().toISOString(),
    source: analysis.model,
    ...identity,
    baseFileType: asked && isBaseFileType(asked) ? asked : baseFileType(tensors),
    budget: { text: options.text, fileBytes: fileBytes(planHeaderBytes(identity), tensors) },
    mode: "recipe",
    constraints: [],
    sensitivity: { mode: sensitivity.mode, version: sensitivity.version },
    ...present({ feedback: analysis.feedback }),
    lossUnit: sensitivity.lossUnit,
    ...predict(identity, tensors, 0),
    warnings: [],
  });
}
