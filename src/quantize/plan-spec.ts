/** What quantizes a plan, a stock preset or a uniform type: file type, overrides and what must come out. */

import type { EngineImatrix } from "../engine/engine.ts";
import { FormatError, UsageError } from "../errors.ts";
import { typesToKeep } from "../ggml/eligibility.ts";
import { fallbackType } from "../ggml/fallback.ts";
import { fileBytes } from "../ggml/file-bytes.ts";
import type { FileType } from "../ggml/file-types.ts";
import { type TensorType, tensorBytes } from "../ggml/tensor-types.ts";
import type { OpenModel } from "../gguf/model.ts";
import { noteBytes } from "../gguf/output-header.ts";
import { checkImatrix } from "../imatrix/check.ts";
import { readImatrix } from "../imatrix/imatrix.ts";
import { baseFileType } from "../plan/base-file-type.ts";
import { presetTypes } from "../plan/budget.ts";
import { overridesFor } from "../plan/patterns.ts";
import type { Plan } from "../plan/plan.ts";
import { planHeaderBytes } from "../plan/predict.ts";
import { tensorChoices } from "../plan/replan.ts";
import { overridesOf, planOverrides } from "../plan/tensor-types.ts";
import type { QuantizeSpec } from "./quantize.ts";

export function planSpec(plan: Plan, output: string, imatrix?: EngineImatrix): QuantizeSpec {
  return {
    output,
    fileType: plan.baseFileType,
    overrides: planOverrides(plan),
    expectedTypes: new Map(plan.tensors.map(({ name, type }) => [name, type])),
    expectedBytes: plan.predicted.fileBytes,
    headerHash: plan.source.headerHash,
    imatrix,
  };
}

/** The same with strings that the file carries besides, which its header is longer by. */
export function withNotes(plan: Plan, spec: QuantizeSpec, notes: ReadonlyMap<string, string>): QuantizeSpec {
  return { ...spec, notes, expectedBytes: typedFileBytes(plan, spec.expectedTypes, noteBytes(notes)) };
}

/**
 * The stock preset on the model of a plan, as llama-quantize makes it without any override but those that keep it from
 * failing.
 */
export function presetSpec(plan: Plan, fileType: FileType, output: string, imatrix?: EngineImatrix): QuantizeSpec {
  const tensors = tensorChoices(plan);
  const kept = typesToKeep(tensors);
  const others = tensors.map(({ name }) => name).filter((name) => !kept.has(name));
  const types = presetTypes(fileType, { facts: plan.facts, imatrix: imatrix !== undefined, tensors });
  return {
    output,
    fileType,
    overrides: overridesFor(
      [...kept].map(([name, type]) => ({ name, type })),
      others,
    ),
    expectedTypes: types,
    expectedBytes: typedFileBytes(plan, types),
    headerHash: plan.source.headerHash,
    imatrix,
  };
}

/** Every eligible tensor in one type, or in its fallback where the rows don't fit. */
export function uniformSpec(plan: Plan, type: TensorType, output: string, imatrix?: EngineImatrix): QuantizeSpec {
  const types = uniformTypes(plan, type);
  const typed = plan.tensors.map((tensor) => {
    const own = types.get(tensor.name) ?? tensor.sourceType;
    return { ...tensor, type: own, bytes: tensorBytes(own, tensor.shape) };
  });
  return {
    output,
    fileType: baseFileType(typed),
    overrides: overridesOf(typed),
    expectedTypes: types,
    expectedBytes: typedFileBytes(plan, types),
    headerHash: plan.source.headerHash,
    imatrix,
  };
}

export function uniformTypes(plan: Plan, type: TensorType): Map<string, TensorType> {
  return new Map(
    plan.tensors.map(({ name, shape, sourceType, reason }) => [
      name,
      reason === "ineligible" ? sourceType : fallbackType(type, shape[0] ?? 1),
    ]),
  );
}

/** Bytes of the file with these types, and a header so many bytes longer. */
export function typedFileBytes(plan: Plan, types: ReadonlyMap<string, TensorType>, extraBytes = 0): number {
  return fileBytes(
    planHeaderBytes(plan) + extraBytes,
    plan.tensors.map(({ name, shape, sourceType }) => ({ shape, type: types.get(name) ?? sourceType })),
  );
}

/**
 * Read the imatrix a plan was made with again, from `moved` where it lies there now: its weights and strings are part of
 * the file. Throws UsageError for an imatrix the plan knows nothing of, FormatError for another one than the plan's, or
 * than the model's.
 */
export async function planImatrix(
  plan: Plan,
  { model }: Pick<OpenModel, "model">,
  moved?: string,
): Promise<EngineImatrix | undefined> {
  if (plan.imatrix === undefined) {
    if (moved === undefined) return undefined;
    throw new UsageError(
      `--imatrix ${moved}: the plan was made without an importance matrix; make a plan with it: prism plan MODEL --imatrix ${moved}`,
    );
  }
  const path = moved ?? plan.imatrix.path;
  const imatrix = await readImatrix(path);
  if (imatrix.sha256 !== plan.imatrix.sha256) {
    throw new FormatError(
      path,
      "is not the imatrix the plan was made with (another SHA-256); name the right file with --imatrix, or plan again",
    );
  }
  checkImatrix(imatrix, model);
  // The strings go into the file: they are the plan's, wherever the imatrix lies now.
  return { ...imatrix, file: plan.imatrix.file, dataset: plan.imatrix.dataset };
}
