import { describe, expect, test } from "vitest";
import { readFacts } from "../../src/gguf/facts.ts";
import type { Model } from "../../src/gguf/model.ts";
import { openModel } from "../../src/gguf/open.ts";
import { preflight } from "../../src/preflight/preflight.ts";
import { type PlainModel, plainModel } from "../gguf/plain-model.ts";

const layers = (...numbers: number[]) => numbers.map((n) => ({ name: `blk.${n}.attn_q.weight` }));
const COMPLETE = {
  "stablelm.block_count": 2,
  "tokenizer.ggml.model": "t5",
  "tokenizer.ggml.tokens": ["<pad>", "</s>", "<unk>", "a"],
  "tokenizer.ggml.scores": [0, 0, 0, -1.5],
  "tokenizer.chat_template": "{{ messages }}",
};
const BASE = [{ name: "token_embd.weight" }, ...layers(0, 1)];

/** What llama.cpp would miss in such models is findings.test.ts's, with files that are whole. */
const OF_LOADING: ReadonlySet<string> = new Set([
  "key-missing",
  "hyperparameter-range",
  "tensor-missing",
  "tensor-shape",
  "file-type-missing",
]);

function findings(model: PlainModel) {
  return ofModel(plainModel({ arch: "stablelm", metadata: COMPLETE, tensors: BASE, ...model }));
}

function ofModel(model: Model) {
  return preflight(model, readFacts(model)).filter(({ code }) => !OF_LOADING.has(code));
}

const without = (model: PlainModel, key: string): PlainModel => ({
  ...model,
  metadata: Object.fromEntries(Object.entries(model.metadata ?? {}).filter(([name]) => name !== key)),
});

type Case = readonly [model: PlainModel, code: string, severity: string, message: RegExp];

const CASES: Readonly<Record<string, Case>> = {
  "an alignment of 64": [{ alignment: 64 }, "alignment-not-32", "warning", /alignment is 64/],
  "no architecture": [{ arch: "" }, "no-architecture", "error", /no general.architecture/],
  "an architecture llama.cpp does not know": [
    { arch: "lama", metadata: { ...COMPLETE, "lama.block_count": 2 } },
    "unknown-architecture",
    "warning",
    /does not know the architecture "lama"/,
  ],
  "a projector": [{ arch: "clip", metadata: {} }, "projector", "warning", /mmproj.*copied, not quantized/],
  "quantized weights": [
    {
      tensors: [
        ...BASE,
        { name: "blk.0.ffn_up.weight", type: "Q4_K" },
        { name: "blk.1.ffn_up.weight", type: "Q4_K" },
        { name: "blk.0.ffn_down.weight", type: "Q6_K" },
      ],
    },
    "already-quantized",
    "error",
    /3 of 6 tensors are already quantized \(2 Q4_K, 1 Q6_K\)/,
  ],
  "experts published in MXFP4": [
    { tensors: [...BASE, { name: "blk.0.ffn_up_exps.weight", shape: [256, 4, 2], type: "MXFP4" }] },
    "already-quantized",
    "warning",
    /1 of 4 tensors are already quantized \(1 MXFP4\)/,
  ],
  "no block_count": [
    without({ metadata: COMPLETE }, "stablelm.block_count"),
    "block-count-mismatch",
    "error",
    /layers up to blk.1, but stablelm.block_count is missing or 0/,
  ],
  "more layers than block_count": [
    { tensors: [...BASE, ...layers(2)] },
    "block-count-mismatch",
    "error",
    /layers up to blk.2, but stablelm.block_count is 2/,
  ],
  "fewer layers than block_count": [
    { metadata: { ...COMPLETE, "stablelm.block_count": 3 } },
    "block-count-mismatch",
    "error",
    /block_count is 3, but the file has layers up to blk.1 only/,
  ],
  "a block_count of four thousand million": [
    { metadata: { ...COMPLETE, "stablelm.block_count": 4_000_000_000 } },
    "block-count-mismatch",
    "error",
    /block_count is 4000000000, but/,
  ],
  "a layer missing in between": [
    { metadata: { ...COMPLETE, "stablelm.block_count": 4 }, tensors: [...BASE, ...layers(3)] },
    "layer-gap",
    "error",
    /blk.2 of 4 layers has no tensors/,
  ],
  "MTP layers counted but absent": [
    { metadata: { ...COMPLETE, "stablelm.block_count": 3, "stablelm.nextn_predict_layers": 1 } },
    "nextn-layers-missing",
    "error",
    /block_count 3 includes 1 MTP layer\(s\), but blk.2 has no tensors/,
  ],
  "no tokenizer": [
    without({ metadata: COMPLETE }, "tokenizer.ggml.model"),
    "tokenizer-missing",
    "error",
    /no tokenizer/,
  ],
  "no token embedding": [{ tensors: layers(0, 1) }, "token-embd-missing", "warning", /no token_embd.weight/],
  "no chat template": [
    without({ metadata: COMPLETE }, "tokenizer.chat_template"),
    "chat-template-missing",
    "info",
    /no tokenizer.chat_template/,
  ],
};

describe("preflight", () => {
  test("a complete model has no findings", () => {
    expect(findings({})).toEqual([]);
  });

  test.each(Object.entries(CASES))("%s is found, alone", (_, [model, code, severity, message]) => {
    const found = findings(model);
    expect(found.map((finding) => [finding.code, finding.severity])).toEqual([[code, severity]]);
    expect(found[0]?.message).toMatch(message);
    expect(found[0]?.remedy).not.toBe("");
  });

  test("a gap in the data is found", () => {
    const model = plainModel({ arch: "stablelm", metadata: COMPLETE, tensors: BASE });
    const moved = model.tensors.map((tensor, i) => (i === 2 ? { ...tensor, offset: tensor.offset + 32 } : tensor));
    const found = ofModel({ ...model, tensors: moved });
    expect(found.map(({ code }) => code)).toEqual(["tensor-data-gap"]);
  });

  test("a quantized norm or router is nobody's loss", () => {
    expect(findings({ tensors: [...BASE, { name: "blk.0.ffn_gate_inp.weight", type: "Q8_0" }] })).toEqual([]);
  });

  test("an encoder needs no chat template, and MTP layers that are there are fine", () => {
    const metadata = {
      ...without({ metadata: COMPLETE }, "tokenizer.chat_template").metadata,
      "nomic-bert.block_count": 2,
    };
    expect(findings({ arch: "nomic-bert", metadata })).toEqual([]);
    expect(
      findings({
        metadata: { ...COMPLETE, "stablelm.block_count": 3, "stablelm.nextn_predict_layers": 1 },
        tensors: [...BASE, ...layers(2)],
      }),
    ).toEqual([]);
  });

  test("the bundled model has no errors", async () => {
    const file = await openModel("models/books-llama-8m-f16.gguf");
    const found = preflight(file.model, readFacts(file.model));
    await file.close();
    expect(found.map(({ code }) => code)).toEqual(["chat-template-missing"]);
  });
});
