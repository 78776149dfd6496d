/** Findings about general.file_type, which says by which preset a file was made. */

import { ineligibleReason } from "../ggml/eligibility.ts";
import { FILE_TYPES, type FileType } from "../ggml/file-types.ts";
import type { Model } from "../gguf/model.ts";
import type { Finding } from "./finding-codes.ts";

export function fileTypeFindings(model: Model): Finding[] {
  const guess = guessFileType(model);
  if (!lacksFileType(model) || guess === undefined) return [];
  return [
    {
      code: "file-type-missing",
      severity: "info",
      message: `the file has no general.file_type, and programs guess ${guess} from its weights`,
      remedy: "prism repair sets it; a quantized file gets one in any case",
    },
  ];
}

export function lacksFileType({ metadata }: Model): boolean {
  return !metadata.has("general.file_type");
}

/** The float type of most weights; undefined where most are quantized, which one type does not tell a preset of. */
export function guessFileType({ tensors }: Model): FileType | undefined {
  const counts = new Map<string, number>();
  for (const tensor of tensors) {
    if (ineligibleReason(tensor) === undefined) counts.set(tensor.type, (counts.get(tensor.type) ?? 0) + 1);
  }
  const [most] = [...counts].sort(([, a], [, b]) => b - a);
  const type = most?.[0];
  return (type === "F32" || type === "F16" || type === "BF16") && type in FILE_TYPES ? type : undefined;
}
