/** Whether a model is within a budget as it is: then there is nothing to make of it. */
import type { Analysis } from "../analyze/analysis.ts";
import { shownName } from "../bytes/remote-name.ts";
import { bpw } from "../ggml/file-bytes.ts";
import type { FileType } from "../ggml/file-types.ts";
import { type BudgetRequest, presetFileBytes } from "../plan/budget.ts";
import { contextOf } from "../plan/budget-range.ts";
import { type DeskOpener, fitVram, withHeader } from "./fit-vram.ts";
import { isJson, loadAnalysis } from "./load-document.ts";
import { budgetOf, constraintsOf, type PlanningRequest, typesOf } from "./planning-request.ts";
import { vramOf } from "./vram-request.ts";

export interface FitsAlready {
  /** So that a program can tell this from a plan or a run. */
  readonly fitsAlready: true;
  readonly path: string;
  readonly fileBytes: number;
  readonly bpw: number;
  /** What was asked, as it was typed. */
  readonly budget: string;
}

/** Presets that do not quantize. */
const FLOATS: readonly FileType[] = ["F32", "F16", "BF16"];

interface Size {
  readonly path: string;
  readonly fileBytes: number;
  readonly bpw: number;
  /** Of the file of a preset; undefined where that is not known. */
  readonly presetBytes: ((fileType: FileType) => number) | undefined;
}

/**
 * What to say of a model that is no larger than the budget; undefined where it is, or where constraints ask for other
 * types. Reads the header. Throws as opening a model and fitVram() do.
 */
export async function fitsAlready(
  source: string | Analysis,
  request: PlanningRequest,
  bench?: DeskOpener,
): Promise<FitsAlready | undefined> {
  const wish = vramOf(request);
  const asked = budgetOf(request);
  const hasConstraints = constraintsOf(request).length > 0 || typesOf(request) !== undefined;
  if (hasConstraints || (wish === undefined && asked === undefined)) return undefined;
  // a source that is no larger than such a file is quantized already, and refused
  if (asked?.kind === "like" && !FLOATS.includes(asked.fileType)) return undefined;
  const analysis =
    typeof source !== "string" ? source : (await isJson(source)) ? await loadAnalysis(source) : undefined;
  const path = analysis?.model.path ?? (source as string);
  // experts in the RAM: two limits, which one size says nothing of
  if (wish?.ramBytes !== undefined) return undefined;
  const vram = wish && (await fitVram(path, wish, { constraints: [] }, bench));
  const budget = vram?.budget ?? (asked as BudgetRequest);
  const size = analysis === undefined ? await sizeOf(path, bench) : sizeOfAnalysis(analysis);
  if (!isWithin(size, budget)) return undefined;
  return { fitsAlready: true, path: size.path, fileBytes: size.fileBytes, bpw: size.bpw, budget: budget.text ?? "" };
}

function isWithin({ fileBytes, bpw, presetBytes }: Size, budget: BudgetRequest): boolean {
  if (budget.kind === "bpw") return bpw <= budget.value;
  if (budget.kind === "fileBytes") return fileBytes <= budget.value;
  return presetBytes !== undefined && fileBytes <= presetBytes(budget.fileType);
}

function sizeOf(name: string, bench: DeskOpener | undefined): Promise<Size> {
  return withHeader(name, bench, ({ facts, model: { tensors }, fileBytes }) => {
    const context = contextOf({ facts, headerBytes: facts.outputHeaderBytes, tensors });
    return {
      path: shownName(name),
      fileBytes,
      bpw: bpw(tensors),
      presetBytes: (fileType) => presetFileBytes(fileType, context),
    };
  });
}

function sizeOfAnalysis({ model, tensors }: Analysis): Size {
  const all = tensors.map(({ shape, sourceType }) => ({ shape, type: sourceType }));
  return { path: model.path, fileBytes: model.fileBytes, bpw: bpw(all), presetBytes: undefined };
}
