import { describe, expect, it } from "vitest";
import { isHead, tensorClass, tensorRole } from "../../src/ggml/tensor-class.ts";

describe("tensor class", () => {
  it.each([
    ["token_embd.weight", "token_embd", undefined],
    ["output.weight", "output", undefined],
    ["cls.output.weight", "cls.output", undefined],
    ["blk.0.attn_k.weight", "attn_k", 0],
    ["blk.12.ffn_down_exps.weight", "ffn_down_exps", 12],
    ["blk.3.ssm_a", "ssm_a", 3],
    ["blk.3.attn_q.bias", "attn_q.bias", 3],
    ["blk.61.nextn.eh_proj.weight", "nextn.eh_proj", 61],
    ["v.blk.3.attn_q.weight", "v.attn_q", 3],
    ["dec.blk.7.cross_attn_k.weight", "dec.cross_attn_k", 7],
    ["mm.0.weight", "mm.0", undefined],
    ["h.5.attn.c_attn.weight", "attn.c_attn", 5],
    ["model.layers.9.mlp.up_proj.weight", "model.mlp.up_proj", 9],
    ["blk.x.attn_k.weight", "blk.x.attn_k", undefined],
  ])("of %s is %s in layer %s", (name, expected, layer) => {
    expect(tensorClass(name)).toEqual(layer === undefined ? { class: expected } : { class: expected, layer });
  });
});

describe("tensor role", () => {
  const model = { layers: 12, nextnLayers: 1 };

  it.each([
    ["blk.0.attn_q.weight", "attention"],
    ["blk.0.attn_qkv.weight", "attention"],
    ["blk.0.attn_gate.weight", "attention"],
    ["dec.blk.0.cross_attn_k.weight", "attention"],
    ["v.blk.20.attn_q.weight", "attention"],
    ["blk.0.attn_kv_a_mqa.weight", "mla"],
    ["blk.0.attn_kv_b.weight", "mla"],
    ["blk.0.attn_q_a.weight", "mla"],
    ["blk.0.attn_v_b.weight", "mla"],
    ["blk.0.ffn_up.weight", "ffn"],
    ["blk.0.ffn_gate_inp.weight", "ffn"],
    ["blk.0.ffn_up_exps.weight", "experts"],
    ["blk.0.ffn_up_shexp.weight", "shared-experts"],
    ["blk.0.ffn_gate_inp_shexp.weight", "shared-experts"],
    ["blk.0.ssm_out.weight", "ssm"],
    ["blk.0.shortconv.in_proj.weight", "ssm"],
    ["blk.0.time_mix_key.weight", "ssm"],
    ["blk.0.ssm_norm.weight", "norm"],
    ["blk.0.attn_kv_a_norm.weight", "norm"],
    ["token_embd.weight", "embedding"],
    ["token_embd_norm.weight", "norm"],
    ["per_layer_token_embd.weight", "embedding"],
    ["output.weight", "output"],
    ["cls.output.weight", "cls"],
    ["cls.weight", "cls"],
    ["mm.0.weight", "other"],
    ["blk.10.attn_q.weight", "attention"],
    ["blk.11.attn_q.weight", "mtp"],
    ["blk.11.ffn_down_exps.weight", "mtp"],
    ["blk.11.nextn.eh_proj.weight", "mtp"],
    ["blk.11.attn_norm.weight", "mtp"],
  ] as const)("of %s is %s", (name, role) => {
    expect(tensorRole(name, model)).toBe(role);
  });
});

describe("the head", () => {
  it("is output.weight, and token_embd.weight only where there is no output.weight", () => {
    const tied = { arch: "qwen3", hasOutput: false, rankPooling: false };
    expect(isHead("output.weight", { ...tied, hasOutput: true })).toBe(true);
    expect(isHead("token_embd.weight", { ...tied, hasOutput: true })).toBe(false);
    expect(isHead("token_embd.weight", tied)).toBe(true);
    expect(isHead("blk.0.attn_output.weight", tied)).toBe(false);
  });

  it.each([
    ["an encoder", { arch: "nomic-bert", hasOutput: false, rankPooling: false }],
    ["a decoder that embeds", { arch: "qwen3", hasOutput: false, rankPooling: false, embeddingPooling: "last" }],
    ["a decoder that ranks", { arch: "qwen3", hasOutput: false, rankPooling: true }],
  ] as const)("is no tensor of %s", (_, facts) => {
    expect(isHead("token_embd.weight", facts)).toBe(false);
    expect(isHead("output.weight", { ...facts, hasOutput: true })).toBe(false);
  });
});
