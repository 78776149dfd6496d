/**
 * What a tensor's name says about it: its class, its layer and the part it plays in the model.
 * Names follow `LLM_TENSOR_NAMES` (src/llama-arch.cpp) and the projector names of tools/mtmd (llama.cpp v0.5.0).
 */
import { givesHiddenStates, type ModelFacts } from "./model-facts.ts";

export interface TensorClass {
  /** The name without `blk.N.` and `.weight`; prefixes stay: `attn_k`, `output`, `v.attn_q`, `attn_q.bias`. */
  readonly class: string;
  /** The N of `blk.N`; absent outside blocks. */
  readonly layer?: number;
}

export const TENSOR_ROLES = [
  "attention",
  "mla",
  "ffn",
  "experts",
  "shared-experts",
  "ssm",
  "mtp",
  "embedding",
  "output",
  "cls",
  "norm",
  "other",
] as const;
export type TensorRole = (typeof TENSOR_ROLES)[number];

// `h` and `layers` are the block prefixes of unconverted GPT-2 and Hugging Face names; at most 9 digits stay integers
const BLOCK = /^(|.*?\.)(?:blk|h|layers)\.(\d{1,9})\./;

/** Split a tensor name into class and layer: `blk.3.ffn_down_exps.weight` is `ffn_down_exps` of layer 3. */
export function tensorClass(name: string): TensorClass {
  const stem = name.endsWith(".weight") ? name.slice(0, -".weight".length) : name;
  const block = BLOCK.exec(stem);
  if (!block) return { class: stem };
  return { class: `${block[1]}${stem.slice(block[0].length)}`, layer: Number(block[2]) };
}

/** What tells whether a model has a head, and which tensor it is. */
export type HeadFacts = Pick<ModelFacts, "hasOutput" | "arch" | "rankPooling" | "embeddingPooling">;

/**
 * Whether logits are made with this tensor: output.weight, or token_embd.weight where the file has no output.weight. Of a
 * model that embeds or ranks nothing is a head, though llama-quantize gives token_embd.weight the type of one.
 */
export function isHead(name: string, facts: HeadFacts): boolean {
  if (givesHiddenStates(facts)) return false;
  return name === "output.weight" || (!facts.hasOutput && name === "token_embd.weight");
}

const EXPERTS = /_(exps|chexps)(\.|$)/;

/** Whether tensors of a class hold a matrix per expert: other tensors of three dimensions don't. */
export function holdsExperts(tensor: string): boolean {
  return EXPERTS.test(tensor);
}

// the first match decides, so the narrower patterns come first
const ROLES: readonly (readonly [RegExp, TensorRole])[] = [
  [/(^|\.)nextn\./, "mtp"],
  [/norm/, "norm"],
  [/^output$/, "output"],
  [/^cls(\.|$)/, "cls"],
  [/^(token_embd|per_layer_token_embd|position_embd|token_types)$/, "embedding"],
  [EXPERTS, "experts"],
  [/_shexp(\.|$)/, "shared-experts"],
  [/(^|\.)(ssm_|shortconv\.|time_mix_|channel_mix_)/, "ssm"],
  [/(^|\.)attn_(q_a|q_b|kv_a_mqa|kv_a|kv_b|kv|k_b|v_b|output_a|output_b)(\.|$)/, "mla"],
  [/(^|\.)(cross_|self_|vis_)?attn_/, "attention"],
  [/(^|\.)ffn_/, "ffn"],
];

/** The part a tensor plays in the model. Every tensor of an MTP block (layer ≥ layers − nextnLayers) is `mtp`. */
export function tensorRole(name: string, facts: Pick<ModelFacts, "layers" | "nextnLayers">): TensorRole {
  const { class: tensor, layer } = tensorClass(name);
  const inTrunk = layer === undefined || !name.startsWith("blk.") || layer < facts.layers - facts.nextnLayers;
  if (!inTrunk) return "mtp";
  return ROLES.find(([pattern]) => pattern.test(tensor))?.[1] ?? "other";
}
