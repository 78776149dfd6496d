import { expect, test } from "vitest";
import { FormatError } from "../../src/errors.ts";
import type { Model, TensorInfo } from "../../src/gguf/model.ts";
import { checkImatrix, importanceOf } from "../../src/imatrix/check.ts";

const tensor = (name: string, ...shape: number[]): TensorInfo => ({
  name,
  shape,
  elements: shape.reduce((a, b) => a * b, 1),
  type: "F16",
  bytes: 2 * shape.reduce((a, b) => a * b, 1),
  shard: 0,
  offset: 0,
});

const model: Model = {
  path: "model.gguf",
  shards: [],
  ggufVersion: 3,
  arch: "llama",
  metadata: new Map(),
  keyTypes: new Map(),
  keyValues: [],
  alignment: 32,
  tensors: [
    tensor("token_embd.weight", 32, 100),
    tensor("blk.0.ffn_up.weight", 32, 64),
    tensor("blk.0.ffn_up_exps.weight", 32, 64, 4),
    tensor("blk.0.ffn_gate_inp.weight", 32, 4),
  ],
  headerHash: "",
};

const imatrix = (entries: Record<string, number>) => ({
  path: "imatrix.gguf",
  importance: new Map(Object.entries(entries).map(([name, length]) => [name, new Float32Array(length)])),
});

test("ne0 values per matrix are accepted", () => {
  expect(() =>
    checkImatrix(imatrix({ "blk.0.ffn_up.weight": 32, "blk.0.ffn_up_exps.weight": 128 }), model),
  ).not.toThrow();
});

test("an imatrix without a tensor of the model is of another model", () => {
  expect(() => checkImatrix(imatrix({ "blk.9.ffn_up.weight": 32 }), model)).toThrow(FormatError);
  expect(() => checkImatrix(imatrix({ "blk.9.ffn_up.weight": 32 }), model)).toThrow(/imatrix of another model/);
});

test("a wrong length is an error, with both lengths", () => {
  expect(() => checkImatrix(imatrix({ "blk.0.ffn_up_exps.weight": 32 }), model)).toThrow(/has 32 values, expected 128/);
});

test("a wrong length is ignored where llama-quantize ignores it: token_embd, and tensors it leaves alone", () => {
  const odd = imatrix({ "token_embd.weight": 5, "blk.0.ffn_gate_inp.weight": 7 });
  expect(() => checkImatrix(odd, model)).not.toThrow();
  expect(importanceOf(odd, tensor("token_embd.weight", 32, 100))).toBe("mismatch");
  expect(importanceOf(odd, tensor("blk.0.ffn_up.weight", 32, 64))).toBe("missing");
});
