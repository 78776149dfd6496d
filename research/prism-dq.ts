/**
 * The PRISM-DQ recipes of Ex0bit for Qwen3.5 as their model card gives them
 * (https://huggingface.co/Ex0bit/Qwen3.5-PRISM-Dynamic-Quant-GGUF, Apache-2.0), with the numbers printed there.
 */
import type { TensorType } from "../src/ggml/tensor-types.ts";
import type { Override } from "../src/plan/patterns.ts";
import type { PublishedRecipe } from "../src/plan/published-recipe.ts";

export interface PrismDq {
  readonly model: string;
  readonly tensorTypes: readonly Override[];
  readonly published: PublishedRecipe["published"];
}

/** Classes in the order of the command lines. */
const CLASSES = [
  ...["attn_gate", "attn_k", "attn_output", "attn_q", "attn_qkv", "attn_v", "ffn_down", "ffn_gate", "ffn_up", "output"],
  ...["ssm_alpha", "ssm_beta", "ssm_out", "token_embd"],
];

/** All classes in Q3_K but those listed; `output` only where the recipe names it. */
function classes(others: Readonly<Record<string, TensorType>>): Override[] {
  return CLASSES.filter((name) => name !== "output" || Object.hasOwn(others, name)).map((pattern) => ({
    pattern,
    type: others[pattern] ?? "Q3_K",
  }));
}

export const PRISM_DQ: readonly PrismDq[] = [
  {
    model: "Qwen3.5-0.8B",
    tensorTypes: [
      ...classes({ attn_output: "IQ4_XS", attn_v: "Q4_K", ssm_beta: "IQ4_XS", ssm_out: "IQ4_XS" }),
      // these two never apply: the first match wins, and the class was named before
      { pattern: "blk\\.(4)\\.ssm_beta", type: "Q4_K" },
      { pattern: "blk\\.(18)\\.ssm_out", type: "Q4_K" },
    ],
    published: { targetBpw: 3.5, bpw: 4.94, megabytes: 468, ppl: 11.42, pplOfQ3KM: 12.14 },
  },
  {
    model: "Qwen3.5-2B",
    tensorTypes: classes({
      attn_k: "Q4_K",
      attn_output: "Q4_K",
      attn_q: "Q4_K",
      attn_v: "Q4_K",
      ssm_alpha: "Q4_K",
      ssm_beta: "Q4_K",
    }),
    published: { targetBpw: 3.5, bpw: 4.68, megabytes: 1104, ppl: 9.26, pplOfQ3KM: 9.35 },
  },
  {
    model: "Qwen3.5-4B",
    tensorTypes: classes({ attn_k: "Q4_K", attn_output: "Q5_K", attn_v: "Q4_K", ssm_alpha: "Q4_K", ssm_beta: "Q4_K" }),
    published: { targetBpw: 3.5, bpw: 4.31, megabytes: 2271, ppl: 6.82, pplOfQ3KM: 6.88 },
  },
  {
    model: "Qwen3.5-9B",
    tensorTypes: classes({
      attn_k: "Q4_K",
      attn_output: "IQ4_XS",
      attn_q: "Q4_K",
      attn_v: "Q4_K",
      output: "Q3_K",
      ssm_alpha: "Q4_K",
      ssm_beta: "Q4_K",
    }),
    published: { targetBpw: 3.5, bpw: 4.15, megabytes: 4652, ppl: 6.18, pplOfQ3KM: 6.25 },
  },
];
