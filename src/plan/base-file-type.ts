/** The preset a recipe names on the command line: it ends up as general.file_type, every tensor being overridden. */
import { FILE_TYPES, type FileType } from "../ggml/file-types.ts";
import { bitsPerWeight } from "../ggml/tensor-types.ts";
import { presetFileBytes, type SizeContext } from "./budget.ts";
import type { PlanTensor } from "./plan.ts";

// Overrides are ignored under F16, BF16 and F32. Presets with rules of their own before any override (Q2_K_S and the
// IQ presets demand an imatrix, MXFP4_MOE and TQ* rewrite heads) are left out.
const BASES: readonly FileType[] = ["Q2_K", "Q3_K_M", "Q4_K_M", "Q5_K_M", "Q6_K", "Q8_0"];

/** The preset whose file is nearest in size: the name under which a model page then shows the plan's file. */
export function nearestBase(bytes: number, context: SizeContext): FileType {
  const distance = (fileType: FileType) => Math.abs(presetFileBytes(fileType, context) - bytes);
  return BASES.reduce((best, fileType) => (distance(fileType) < distance(best) ? fileType : best));
}

/** The preset whose own type is nearest to the bits per weight of the quantized tensors. */
export function baseFileType(tensors: readonly Pick<PlanTensor, "bytes" | "elements" | "reason">[]): FileType {
  let bytes = 0;
  let elements = 0;
  for (const tensor of tensors) {
    if (tensor.reason === "ineligible") continue;
    bytes += tensor.bytes;
    elements += tensor.elements;
  }
  const target = elements === 0 ? 0 : (8 * bytes) / elements;
  const distance = (fileType: FileType) => Math.abs(bitsPerWeight(FILE_TYPES[fileType].defaultType) - target);
  return BASES.reduce((best, fileType) => (distance(fileType) < distance(best) ? fileType : best));
}

/** Whether a preset can be the base of a recipe. */
export function isBaseFileType(fileType: FileType): boolean {
  return BASES.includes(fileType);
}
