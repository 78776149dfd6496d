/**
 * The stock mixes' rules for attention tensors: attn_v and its kin (attn_qkv, attn_kv_b), attn_k, attn_q, attn_output.
 */
import type { FileType } from "./file-types.ts";
import { type ByFileType, isLowest, type MixContext, type Rule, useMoreBits } from "./stock-rules.ts";
import type { TensorType } from "./tensor-types.ts";

/** attn_v, attn_qkv and attn_kv_b: small and sensitive. */
export const attentionVType: Rule = (mix, position) => {
  if (isLowest(mix.fileType)) return lowestV(mix);
  if (mix.experts === 8) return "Q8_0";
  const type = presetV(mix, position);
  // eight heads share each row of attn_v in 70B models, so more bits cost little
  return mix.is70B && (type === "Q3_K" || type === "Q4_K") ? "Q5_K" : type;
};

function lowestV({ fileType, gqa, experts }: MixContext): TensorType {
  if (gqa >= 4 || experts >= 4) return "Q4_K";
  return fileType === "IQ2_S" || fileType === "IQ2_M" ? "IQ3_S" : "Q2_K";
}

function presetV({ fileType, base, gqa, hasImatrix, vTensors }: MixContext, position: number): TensorType {
  const wide = gqa >= 4;
  switch (fileType) {
    case "Q2_K":
      return wide ? "Q4_K" : "Q3_K";
    case "Q2_K_S":
    case "IQ3_XS":
    case "IQ3_S":
      return wide ? "Q4_K" : base;
    case "IQ3_XXS":
      if (wide) return "Q4_K";
      return hasImatrix ? "IQ3_XXS" : "IQ3_S";
    case "IQ3_M":
      return "Q4_K";
    case "Q3_K_M":
      return position < 2 ? "Q5_K" : "Q4_K";
    case "Q3_K_L":
      return "Q5_K";
    case "IQ4_NL":
    case "IQ4_XS":
      return wide ? "Q5_K" : base;
    case "Q4_K_M":
    case "Q5_K_M":
      return useMoreBits(position, vTensors) ? "Q6_K" : base;
    case "Q4_K_S":
      return position < 4 ? "Q5_K" : base;
    default:
      return base;
  }
}

const ATTN_Q: ByFileType = { IQ3_XS: "IQ3_XXS", IQ3_XXS: "IQ2_S" };

export const attentionQType: Rule = ({ fileType, base }) => ATTN_Q[fileType] ?? base;

export const attentionKType: Rule = (mix, position) => {
  if (mix.experts === 8) return isLowest(mix.fileType) ? "Q4_K" : "Q8_0";
  return attentionQType(mix, position);
};

const ATTN_OUTPUT: ByFileType = {
  IQ1_S: "IQ2_XXS",
  IQ1_M: "IQ2_XXS",
  IQ2_S: "IQ3_S",
  IQ2_M: "IQ3_S",
  Q2_K: "Q3_K",
  IQ3_XXS: "IQ3_S",
  IQ3_M: "Q4_K",
  Q3_K_M: "Q4_K",
  Q3_K_L: "Q5_K",
};

/** File types that give attn_output Q5_K in models of exactly 8 experts, besides those below 3 bpw. */
const Q5_WITH_8_EXPERTS: ReadonlySet<FileType> = new Set<FileType>([
  "Q2_K",
  "Q3_K_S",
  "Q3_K_M",
  "Q4_K_S",
  "Q4_K_M",
  "IQ3_XXS",
  "IQ3_XS",
  "IQ3_S",
  "IQ3_M",
  "IQ4_NL",
  "IQ4_XS",
]);

export const attentionOutputType: Rule = ({ fileType, arch, experts, base }) => {
  const lowest = isLowest(fileType);
  if (arch === "falcon" && !lowest) return fileType === "Q3_K_L" ? "Q4_K" : base;
  if (experts === 8) return lowest || Q5_WITH_8_EXPERTS.has(fileType) ? "Q5_K" : base;
  return ATTN_OUTPUT[fileType] ?? base;
};
