/**
 * The stock mixes' rules for feed-forward tensors, those of experts and shared experts included.
 */
import { eighth, isLowest, type MixContext, type Rule, useMoreBits } from "./stock-rules.ts";
import type { TensorType } from "./tensor-types.ts";

/** ffn_down, the most sensitive of them. */
export const ffnDownType: Rule = (mix, position) => {
  if (isLowest(mix.fileType)) return lowestFfnDown(mix, position);
  return mix.arch === "falcon" ? falconFfnDown(mix, position) : presetFfnDown(mix, position);
};

function lowestFfnDown({ fileType, layers, base }: MixContext, position: number): TensorType {
  if (position >= eighth(layers)) return base;
  return fileType === "IQ2_S" || fileType === "IQ2_M" ? "IQ3_S" : "Q2_K";
}

function falconFfnDown(mix: MixContext, position: number): TensorType {
  const first = position < Math.trunc(mix.layers / 16);
  const more = useMoreBits(position, mix.layers);
  switch (mix.fileType) {
    case "Q3_K_M":
      if (first) return "Q5_K";
      return more ? "Q4_K" : "Q3_K";
    case "Q3_K_L":
      return "Q4_K";
    case "Q4_K_M":
      if (first) return "Q6_K";
      return more ? "Q5_K" : "Q4_K";
    case "Q4_K_S":
      return mix.base;
    default:
      return presetFfnDown(mix, position);
  }
}

function presetFfnDown(mix: MixContext, position: number): TensorType {
  const { fileType, layers, base, experts, hasImatrix } = mix;
  const early = position < eighth(layers);
  switch (fileType) {
    case "Q2_K":
      return "Q3_K";
    case "Q2_K_S":
      return early ? "Q4_K" : base;
    case "IQ3_XXS":
      if (hasImatrix) return base;
      return early ? "Q4_K" : "Q3_K";
    case "IQ3_M":
      return early || (experts === 8 && useMoreBits(position, layers)) ? "Q4_K" : base;
    case "Q3_K_M":
      return position < Math.trunc(layers / 16) ? "Q5_K" : "Q4_K";
    case "Q3_K_L":
      return "Q5_K";
    case "Q4_K_S":
      return early ? "Q5_K" : base;
    case "Q4_K_M":
    case "Q5_K_M":
      return useMoreBits(position, layers) ? "Q6_K" : base;
    case "IQ4_NL":
    case "IQ4_XS":
      return early && !hasImatrix ? "Q5_K" : base;
    case "Q4_0":
      return early && hasImatrix ? "Q4_1" : base;
    case "Q5_0":
      return early && hasImatrix ? "Q5_1" : base;
    default:
      return base;
  }
}

/** ffn_up and ffn_gate alike. */
export const ffnUpType: Rule = ({ fileType, layers, base }, position) => {
  const middle = position >= eighth(layers) && position < eighth(7 * layers);
  return fileType === "IQ3_XS" && middle ? "IQ3_XXS" : base;
};
