/** What quantizes a plan, a stock preset or a uniform type: file type, overrides and what must come out. */
import type { EngineImatrix } from "../engine/engine.ts";
import { FormatError } from "../errors.ts";
import { fallbackType } from "../ggml/fallback.ts";
import { fileBytes } from "../ggml/file-bytes.ts";
import type { FileType } from "../ggml/file-types.ts";
import type { TensorType } from "../ggml/tensor-types.ts";
import { openModel } from "../gguf/open.ts";
import { checkImatrix } from "../imatrix/check.ts";
import { readImatrix } from "../imatrix/imatrix.ts";
import { baseFileType } from "../plan/base-file-type.ts";
import { presetTypes } from "../plan/budget.ts";
import { overridesFor } from "../plan/patterns.ts";
import type { Plan } from "../plan/plan.ts";
import { planHeaderBytes } from "../plan/predict.ts";
import { planOverrides } from "../plan/tensor-types.ts";
import type { QuantizeSpec } from "./quantize.ts";

export function planSpec(plan: Plan, source: string, output: string, imatrix?: EngineImatrix): QuantizeSpec {
  return {
    source,
    output,
    fileType: plan.baseFileType,
    overrides: planOverrides(plan),
    expectedTypes: new Map(plan.tensors.map(({ name, type }) => [name, type])),
    expectedBytes: plan.predicted.fileBytes,
    headerHash: plan.source.headerHash,
    ...(imatrix === undefined ? {} : { imatrix }),
  };
}

/** The stock preset on the model of a plan, as llama-quantize makes it without any override. */
export function presetSpec(plan: Plan, fileType: FileType, output: string, imatrix?: EngineImatrix): QuantizeSpec {
  const types = presetTypes(fileType, { facts: plan.facts, imatrix: imatrix !== undefined, tensors: candidates(plan) });
  return {
    source: plan.source.path,
    output,
    fileType,
    overrides: [],
    expectedTypes: types,
    expectedBytes: typedFileBytes(plan, types),
    headerHash: plan.source.headerHash,
    ...(imatrix === undefined ? {} : { imatrix }),
  };
}

/** Every eligible tensor in one type, or in its fallback where the rows don't fit. */
export function uniformSpec(plan: Plan, type: TensorType, output: string, imatrix?: EngineImatrix): QuantizeSpec {
  const types = uniformTypes(plan, type);
  const eligible = plan.tensors.filter(({ reason }) => reason !== "ineligible");
  const others = plan.tensors.filter(({ reason }) => reason === "ineligible").map(({ name }) => name);
  const typed = plan.tensors.map((tensor) => ({ ...tensor, type: types.get(tensor.name) ?? tensor.sourceType }));
  return {
    source: plan.source.path,
    output,
    fileType: baseFileType(typed),
    overrides: overridesFor(
      eligible.map(({ name }) => ({ name, type: types.get(name) as TensorType })),
      others,
    ),
    expectedTypes: types,
    expectedBytes: typedFileBytes(plan, types),
    headerHash: plan.source.headerHash,
    ...(imatrix === undefined ? {} : { imatrix }),
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

/** Bytes of the file with these types. */
export function typedFileBytes(plan: Plan, types: ReadonlyMap<string, TensorType>): number {
  return fileBytes(
    planHeaderBytes(plan),
    plan.tensors.map(({ name, shape, sourceType }) => ({ shape, type: types.get(name) ?? sourceType })),
  );
}

function candidates(plan: Plan) {
  return plan.tensors.map((tensor) => ({ ...tensor, eligible: tensor.reason !== "ineligible" }));
}

/** The imatrix a plan was made with, read again and checked: its strings and weights are part of the plan's bytes. */
export async function planImatrix(plan: Plan, path = plan.imatrix?.path): Promise<EngineImatrix | undefined> {
  if (plan.imatrix === undefined || path === undefined) return undefined;
  const imatrix = await readImatrix(path);
  if (imatrix.sha256 !== plan.imatrix.sha256) {
    throw new FormatError(
      path,
      "is not the imatrix the plan was made with (another SHA-256); name the right file with --imatrix, or plan again",
    );
  }
  const source = await openModel(plan.source.path);
  try {
    checkImatrix(imatrix, source.model);
  } finally {
    await source.close();
  }
  // The strings go into the file: they are the plan's, wherever the imatrix lies now.
  return { ...imatrix, file: plan.imatrix.file, dataset: plan.imatrix.dataset };
}
