/**
 * The tensor lists of the Qwen3.5 models (text only, without MTP) from their hyperparameters.
 * The lists this gives for 0.8B, 4B and 9B equal those of real GGUF files, published by Thireus in the GGUF Tool Suite
 * (https://github.com/Thireus/GGUF-Tool-Suite, MIT); test/plan/published.test.ts compares them. No list of 2B is there:
 * its hyperparameters are from the model's public config, and its elements agree with the published sizes of 2B files.
 */
import type { ModelFacts } from "../src/ggml/model-facts.ts";

export interface Qwen35 {
  readonly name: string;
  readonly hidden: number;
  readonly layers: number;
  readonly intermediate: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly linearValueHeads: number;
  /** The head is token_embd itself. */
  readonly tied: boolean;
}

export const QWEN35: readonly Qwen35[] = [
  {
    name: "Qwen3.5-0.8B",
    hidden: 1024,
    layers: 24,
    intermediate: 3584,
    heads: 8,
    kvHeads: 2,
    linearValueHeads: 16,
    tied: true,
  },
  {
    name: "Qwen3.5-2B",
    hidden: 2048,
    layers: 24,
    intermediate: 6144,
    heads: 8,
    kvHeads: 2,
    linearValueHeads: 16,
    tied: true,
  },
  {
    name: "Qwen3.5-4B",
    hidden: 2560,
    layers: 32,
    intermediate: 9216,
    heads: 16,
    kvHeads: 4,
    linearValueHeads: 32,
    tied: true,
  },
  {
    name: "Qwen3.5-9B",
    hidden: 4096,
    layers: 32,
    intermediate: 12288,
    heads: 16,
    kvHeads: 4,
    linearValueHeads: 32,
    tied: false,
  },
];

const VOCABULARY = 248_320;
/** Elements of a head, of full and of linear attention. */
const HEAD = 256;
const LINEAR_HEAD = 128;
const LINEAR_KEY_HEADS = 16;
/** Every fourth layer has full attention, the others linear attention. */
const FULL_INTERVAL = 4;

export interface ShapedTensor {
  readonly name: string;
  readonly shape: readonly number[];
}

/** All tensors, ne[0] first. */
export function qwen35Tensors(model: Qwen35): ShapedTensor[] {
  const { hidden, layers, tied } = model;
  const tensors: ShapedTensor[] = [
    { name: "token_embd.weight", shape: [hidden, VOCABULARY] },
    { name: "output_norm.weight", shape: [hidden] },
  ];
  if (!tied) tensors.push({ name: "output.weight", shape: [hidden, VOCABULARY] });
  for (let layer = 0; layer < layers; layer++) {
    const full = (layer + 1) % FULL_INTERVAL === 0;
    const parts = { ...feedForward(model), ...(full ? fullAttention(model) : linearAttention(model)) };
    for (const [part, shape] of Object.entries(parts)) tensors.push({ name: `blk.${layer}.${part}`, shape });
  }
  return tensors;
}

function feedForward({ hidden, intermediate }: Qwen35): Record<string, number[]> {
  return {
    "attn_norm.weight": [hidden],
    "post_attention_norm.weight": [hidden],
    "ffn_gate.weight": [hidden, intermediate],
    "ffn_up.weight": [hidden, intermediate],
    "ffn_down.weight": [intermediate, hidden],
  };
}

function fullAttention({ hidden, heads, kvHeads }: Qwen35): Record<string, number[]> {
  return {
    // query and gate
    "attn_q.weight": [hidden, 2 * heads * HEAD],
    "attn_k.weight": [hidden, kvHeads * HEAD],
    "attn_v.weight": [hidden, kvHeads * HEAD],
    "attn_output.weight": [heads * HEAD, hidden],
    "attn_q_norm.weight": [HEAD],
    "attn_k_norm.weight": [HEAD],
  };
}

function linearAttention({ hidden, linearValueHeads }: Qwen35): Record<string, number[]> {
  const inner = linearValueHeads * LINEAR_HEAD;
  const mixed = 2 * LINEAR_KEY_HEADS * LINEAR_HEAD + inner;
  return {
    "attn_qkv.weight": [hidden, mixed],
    "attn_gate.weight": [hidden, inner],
    "ssm_out.weight": [inner, hidden],
    "ssm_alpha.weight": [hidden, linearValueHeads],
    "ssm_beta.weight": [hidden, linearValueHeads],
    "ssm_conv1d.weight": [4, mixed],
    "ssm_norm.weight": [LINEAR_HEAD],
    ssm_a: [linearValueHeads],
    "ssm_dt.bias": [linearValueHeads],
  };
}

/** What the stock mixes ask about the model. The header is not known: it is left at 0 and nothing here counts it. */
export function qwen35Facts({ layers, heads, kvHeads, tied }: Qwen35): ModelFacts {
  return {
    arch: "qwen35",
    layers,
    nextnLayers: 0,
    heads,
    kvHeads,
    experts: 0,
    hasOutput: !tied,
    rankPooling: false,
    alignment: 32,
    vocabSize: VOCABULARY,
    contextTrain: 262_144,
    outputHeaderBytes: 0,
  };
}
