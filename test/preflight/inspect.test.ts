import { describe, expect, it } from "vitest";
import { inspect } from "../../src/preflight/inspect.ts";
import { type PlainModel, plainModel } from "../gguf/plain-model.ts";

const HYPERPARAMETERS = {
  "llama.block_count": 1,
  "llama.attention.head_count": 4,
  "general.file_type": 1,
} as const;

function inspected(model: PlainModel) {
  return inspect(plainModel({ ...model, metadata: { ...HYPERPARAMETERS, ...model.metadata } }));
}

const SQUARE = { name: "blk.0.attn_q.weight", shape: [256, 256] };
const HEAD = { name: "output.weight", shape: [256, 512] };
const EMBEDDING = { name: "token_embd.weight", shape: [256, 512] };

describe("inspect", () => {
  it("counts what rows that K-quants don't fit cost against the types they would have had", () => {
    const uneven = { name: "blk.0.ffn_down.weight", shape: [864, 256] };
    const { findings } = inspected({ tensors: [EMBEDDING, HEAD, SQUARE, uneven] });
    const fallback = findings.find(({ code }) => code === "row-size-fallback");
    // Q6_K would take 210 bytes per 256 weights, Q8_0 takes 34 per 32
    const extra = 256 * ((864 / 32) * 34 - (864 / 256) * 210);
    expect(fallback).toMatchObject({ severity: "info" });
    expect(fallback?.message).toContain("1 of 4 weights");
    expect(fallback?.message).toContain("ffn_down 1");
    expect(fallback?.message).toContain(`cost ${extra.toLocaleString("en")} bytes more in Q4_K_M`);
    expect(inspected({ tensors: [EMBEDDING, HEAD, SQUARE] }).findings.map(({ code }) => code)).not.toContain(
      "row-size-fallback",
    );
  });

  it("names weights that stay as they are where they are a notable part of the file", () => {
    const router = { name: "blk.0.ffn_gate_inp.weight", shape: [256, 512], type: "F32" } as const;
    const { findings, classes } = inspected({ tensors: [EMBEDDING, HEAD, SQUARE, router] });
    expect(findings.find(({ code }) => code === "not-eligible")?.message).toContain("524,288 bytes");
    expect(classes.at(-1)).toMatchObject({ eligible: false, ineligibleReason: "expert router" });
  });

  it("sizes the presets in ascending order, each over the whole file", () => {
    const { presets } = inspected({ tensors: [EMBEDDING, HEAD, SQUARE] });
    const bytes = presets.map(({ fileBytes }) => fileBytes);
    expect(bytes).toEqual([...bytes].sort((a, b) => a - b));
    expect(presets.map(({ fileType }) => fileType)).toContain("Q3_K_M");
    const q8 = presets.find(({ fileType }) => fileType === "Q8_0");
    expect(q8?.bpw).toBe(8.5);
  });

  it("sizes nothing where nothing can be quantized", () => {
    const { presets, findings } = inspected({ arch: "", tensors: [{ name: "x.in_sum2", shape: [256] }] });
    expect(presets).toEqual([]);
    expect(findings.map(({ code }) => code)).toContain("no-architecture");
    expect(inspected({ arch: "clip", tensors: [{ name: "v.blk.0.attn_q.weight" }] }).presets).toEqual([]);
  });

  it("keeps what JSON can say of the metadata and leaves the rest out", () => {
    const { metadata, fileType } = inspected({
      tensors: [SQUARE],
      metadata: { big: 2n ** 60n, small: 7n, long: "x".repeat(5000), list: [1, 2], odd: Number.NaN, yes: true },
    });
    expect(metadata).toEqual({ ...HYPERPARAMETERS, big: String(2n ** 60n), small: 7, yes: true });
    expect(fileType).toBe("F16");
  });
});
