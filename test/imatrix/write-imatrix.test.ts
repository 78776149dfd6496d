import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { openLocalModel } from "../../src/gguf/open.ts";
import { describeHole, findHoles } from "../../src/imatrix/coverage.ts";
import { readImatrix } from "../../src/imatrix/imatrix.ts";
import { writeImatrix } from "../../src/imatrix/write-imatrix.ts";

let dir: string;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), "prism-imatrix-"));
});
afterAll(() => rm(dir, { recursive: true }));

const entries = new Map([
  ["blk.1.ffn_up_exps.weight", { sums: Float32Array.of(2, 4, 0, 0), counts: Float64Array.of(2, 0) }],
  ["blk.0.attn_q.weight", { sums: Float32Array.of(64, 128, 32), counts: Float64Array.of(64) }],
]);

test("what is written is read back as means, experts without a token weighing all inputs alike", async () => {
  const path = join(dir, "imatrix.gguf");
  await writeImatrix(path, { entries, dataset: "text.txt", context: 16 });
  const imatrix = await readImatrix(path);
  expect(imatrix).toMatchObject({ dataset: "text.txt", entries: 2, chunks: 4 });
  expect([...(imatrix.importance.get("blk.0.attn_q.weight") ?? [])]).toEqual([1, 2, 0.5]);
  expect([...(imatrix.importance.get("blk.1.ffn_up_exps.weight") ?? [])]).toEqual([1, 2, 1, 1]);
  expect(imatrix.unseen).toEqual(new Map([["blk.1.ffn_up_exps.weight", 1]]));
});

test("the file has llama-imatrix's keys, and its tensors in the order of their names", async () => {
  const path = join(dir, "order.gguf");
  await writeImatrix(path, { entries, dataset: "text.txt", context: 16 });
  const file = await openLocalModel(path);
  await file.close();
  expect([...file.model.metadata.keys()]).toEqual([
    "general.type",
    "imatrix.datasets",
    "imatrix.chunk_count",
    "imatrix.chunk_size",
  ]);
  expect(file.model.tensors.map(({ name, shape }) => [name, ...shape])).toEqual([
    ["blk.0.attn_q.weight.in_sum2", 3],
    ["blk.0.attn_q.weight.counts", 1],
    ["blk.1.ffn_up_exps.weight.in_sum2", 2, 2],
    ["blk.1.ffn_up_exps.weight.counts", 1, 2],
  ]);
});

test("holes are told per class", () => {
  const importance = new Map([...entries].map(([name, { sums }]) => [name, sums]));
  const unseen = new Map([
    ["blk.1.ffn_up_exps.weight", 1],
    ["blk.0.attn_q.weight", 1],
    ["blk.0.attn_k_b.weight", 4],
  ]);
  importance.set("blk.0.attn_k_b.weight", new Float32Array(128));
  const tensors = [
    { name: "token_embd.weight", shape: [32, 100] },
    { name: "blk.0.attn_q.weight", shape: [32, 32] },
    { name: "blk.0.attn_k_b.weight", shape: [32, 32, 4] },
    { name: "blk.1.attn_q.weight", shape: [32, 32] },
    { name: "blk.1.attn_norm.weight", shape: [32] },
    { name: "blk.1.ffn_up_exps.weight", shape: [32, 64, 2] },
  ].map((tensor) => ({ ...tensor, type: "F16" as const }));
  expect(findHoles({ importance, unseen }, tensors).map(describeHole)).toEqual([
    "token_embd: not in the imatrix",
    "attn_q: 1 of 2 not in it, 1 of 1 tensors saw no token",
    "attn_k_b: 1 of 1 tensors saw no token",
    "ffn_up_exps: 1 of 2 experts saw no token",
  ]);
  const whole = { importance: new Map([["blk.0.attn_q.weight", Float32Array.of(1)]]), unseen: new Map() };
  expect(findHoles(whole, [{ name: "blk.0.attn_q.weight", shape: [32, 32], type: "F16" }])).toEqual([]);
});
