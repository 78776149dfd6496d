import { describe, expect, it } from "vitest";
import { dimensionCount } from "../../src/ggml/convertible.ts";
import { ineligibleReason, leftAloneReason, typesToKeep } from "../../src/ggml/eligibility.ts";
import type { TensorType } from "../../src/ggml/tensor-types.ts";

const matrix = (name: string) => ({ name, shape: [256, 64], type: "F16" as const });
const stored = (type: TensorType, ...shape: number[]) => ({ name: "cls.weight", shape, type });

describe("eligibility", () => {
  it.each([
    "token_embd.weight",
    "output.weight",
    "per_layer_token_embd.weight",
    "cls.output.weight",
    "dense_2.weight",
    "blk.0.attn_qkv.weight",
    "blk.0.ffn_gate_inp_shexp.weight",
    "blk.0.ffn_down_exps.weight",
    "blk.0.ssm_alpha.weight",
    "blk.0.ssm_in.weight",
    "blk.0.time_mix_key.weight",
    "blk.0.shortconv.in_proj.weight",
    "blk.0.indexer.attn_k.weight",
    "blk.0.nextn.eh_proj.weight",
    "blk.0.nextn.embed_tokens.weight",
    "v.blk.0.attn_q.weight",
    "mm.0.weight",
    "xweight",
    // the length comparison of llama-quantize wraps for names of five characters
    "abcde",
  ])("%s is quantized", (name) => {
    expect(ineligibleReason(matrix(name))).toBeUndefined();
  });

  it.each([
    ["blk.0.attn_norm.weight", /norm/],
    ["blk.0.ffn_gate_inp.weight", /router/],
    ["blk.0.ffn_gate_tid2eid.weight", /routing table/],
    ["blk.0.altup_router.weight", /altup/],
    ["blk.0.laurel_l.weight", /laurel/],
    ["per_layer_model_proj.weight", /projection/],
    ["position_embd.weight", /position/],
    ["token_types.weight", /token types/],
    ["blk.0.ssm_conv1d.weight", /convolution/],
    ["blk.0.ssm_conv1d_q.weight", /convolution/],
    ["blk.0.shortconv.conv.weight", /convolution/],
    ["blk.0.indexer.k_proj.weight", /indexer/],
    ["blk.0.indexer.q_proj.weight", /indexer/],
    ["blk.0.attn_rel_b.weight", /relative position/],
    ["v.position_embd.weight", /position/],
    ["sam.pos_embd.weight", /position/],
    ["sam.neck.0.weight", /neck/],
    ["sam.net_2.weight", /net/],
    ["v.blk.0.rel_pos_w.weight", /relative position/],
    ["v.patch_embd.weight", /patch embedding/],
    ["v.patch_merger.weight", /patch merger/],
    ["a.rvq.codebook.0.weight", /codebook/],
    ["mm.a.code_embd.weight", /codebook/],
    ["blk.0.ffn_gate.bias", /end with weight/],
    ["blk.0.ssm_a", /end with weight/],
    ["a.weight.b", /end with weight/],
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
    ].map((part) => [`blk.0.time_mix_${part}.weight`, /RWKV/] as const),
  ] as const)("%s is left alone: %s", (name, reason) => {
    expect(ineligibleReason(matrix(name))).toMatch(reason);
  });

  it("ignores trailing dimensions of one", () => {
    expect(ineligibleReason(stored("F16", 256, 1))).toBe("one-dimensional");
    expect(ineligibleReason(stored("F16", 256, 1, 1, 1))).toBe("one-dimensional");
    expect(ineligibleReason(stored("F16", 1, 256))).toBeUndefined();
    expect(ineligibleReason(stored("F16", 256, 1, 4))).toBeUndefined();
    expect([[1], [1, 1], [5, 1], [5, 2, 1], [5, 1, 2]].map(dimensionCount)).toEqual([1, 1, 1, 2, 3]);
  });

  it.each([
    [stored("F16", 256, 16, 8, 4), /four-dimensional/],
    [stored("F32", 256, 1, 1, 2), /four-dimensional/],
    [stored("I32", 256, 64), /I32/],
    [stored("F64", 256, 64), /F64/],
    [stored("Q8_1", 256, 64), /Q8_1/],
  ])("%o is tried by llama-quantize, and kept here", (tensor, reason) => {
    expect(leftAloneReason(tensor)).toBeUndefined();
    expect(ineligibleReason(tensor)).toMatch(reason);
    expect(typesToKeep([tensor])).toEqual(new Map([["cls.weight", tensor.type]]));
  });

  it("keeps a type on purpose only where llama-quantize would change it", () => {
    const norm = { name: "blk.0.attn_norm.weight", shape: [256, 4, 4, 4], type: "F32" as const };
    expect(typesToKeep([norm, stored("F16", 256, 64), stored("I32", 256)])).toEqual(new Map());
  });

  it("goes by the type in the source where another was chosen", () => {
    const edited = { ...stored("Q4_K", 256, 64), sourceType: "I32" as const };
    expect(ineligibleReason(edited)).toMatch(/I32/);
  });

  it("leaves the output tensor alone on request, and no other", () => {
    expect(ineligibleReason(matrix("output.weight"), { leaveOutput: true })).toMatch(/on request/);
    expect(ineligibleReason(matrix("blk.0.attn_output.weight"), { leaveOutput: true })).toBeUndefined();
  });
});
