/**
 * Which tensors are quantized at all; the others keep the type of the source: those that llama-quantize leaves alone
 * (`tensor_allows_quantization` of src/llama-quant.cpp, llama.cpp v0.5.0), and those that it fails on.
 */
import { dimensionCount, inconvertibleReason, type StoredTensor, storedType } from "./convertible.ts";
import type { TensorType } from "./tensor-types.ts";

/** A tensor whose name contains one of these is left alone, with the reason. */
const EXCLUDED: readonly (readonly [fragment: string, reason: string])[] = [
  ["_norm.weight", "norm"],
  ["ffn_gate_inp.weight", "expert router"],
  ["ffn_gate_tid2eid.weight", "expert routing table"],
  ["altup", "small altup weights"],
  ["laurel", "small laurel weights"],
  ["per_layer_model_proj", "per-layer projection"],
  ["ssm_conv1d", "small convolution"],
  ["shortconv.conv.weight", "small convolution"],
  ["indexer.k_proj.weight", "small indexer projection"],
  ["indexer.q_proj.weight", "small indexer projection"],
  ...[
    "first",
    "w0",
    "w1",
    "w2",
    "v0",
    "v1",
    "v2",
    "a0",
    "a1",
    "a2",
    "g1",
    "g2",
    "decay_w1",
    "decay_w2",
    "lerp_fused",
  ].map((part) => [`time_mix_${part}.weight`, "small RWKV weights"] as const),
  ["attn_rel_b.weight", "relative position bias"],
  [".position_embd", "position embedding"],
  ["sam.pos_embd", "position embedding"],
  ["sam.neck.", "image encoder neck"],
  ["sam.net_", "image encoder net"],
  [".rel_pos", "relative position embedding"],
  [".patch_embd", "patch embedding"],
  [".patch_merger", "patch merger"],
  ["a.rvq.codebook", "audio codebook"],
  ["mm.a.code_embd", "audio codebook"],
];

/** Say why a tensor keeps its type in every file, or return undefined where it can get another. */
export function ineligibleReason(tensor: StoredTensor, options: QuantizeOptions = {}): string | undefined {
  return leftAloneReason(tensor, options) ?? inconvertibleReason(tensor);
}

export interface QuantizeOptions {
  /** --leave-output-tensor. */
  readonly leaveOutput?: boolean;
}

/** Say why llama-quantize leaves a tensor alone, or return undefined where it sets out to quantize it. */
export function leftAloneReason(
  { name, shape }: Pick<StoredTensor, "name" | "shape">,
  options: QuantizeOptions = {},
): string | undefined {
  if (dimensionCount(shape) < 2) return "one-dimensional";
  if (!endsWithWeight(name)) return "name does not end with weight";
  if (options.leaveOutput && name === "output.weight") return "output tensor left alone on request";
  if (name === "position_embd.weight") return "position embedding";
  if (name === "token_types.weight") return "token types";
  return EXCLUDED.find(([fragment]) => name.includes(fragment))?.[1];
}

/** The tensors that a recipe must give the type they have, by name: llama-quantize would end on each of them. */
export function typesToKeep(tensors: readonly StoredTensor[]): Map<string, TensorType> {
  const kept = tensors.filter(
    (tensor) => leftAloneReason(tensor) === undefined && inconvertibleReason(tensor) !== undefined,
  );
  return new Map(kept.map((tensor) => [tensor.name, storedType(tensor)]));
}

/** llama-quantize compares rfind("weight") with length − 6: both wrap to the same value for a name of five characters. */
function endsWithWeight(name: string): boolean {
  return name.endsWith("weight") || name.length === "weight".length - 1;
}
