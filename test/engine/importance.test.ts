import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { type EmbeddedEngine, openEmbeddedEngine } from "../../src/engine/embedded.ts";
import type { EvaluationTokens, ImportanceSums } from "../../src/engine/engine.ts";
import { imatrixArguments } from "../../src/engine/imatrix-program.ts";
import { openLocalModel } from "../../src/gguf/open.ts";
import { createRandom, seedFromName } from "../../src/random.ts";
import { writeRunnable } from "../fixtures/runnable.ts";

const CONTEXT = 64;
/** Of the f32 family of fixtures, as its metadata says. */
const EPSILON = 1e-6;

let dir: string;
let engine: EmbeddedEngine;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), "prism-importance-"));
  engine = await openEmbeddedEngine({ threads: 1 });
});
afterAll(async () => {
  await engine.close();
  await rm(dir, { recursive: true });
});

function drawTokens(chunks: number): EvaluationTokens {
  const random = createRandom(3);
  return {
    context: CONTEXT,
    chunks,
    ids: Int32Array.from({ length: CONTEXT * chunks }, () => Math.floor(random() * 256)),
  };
}

async function collect(model: string, tokens: EvaluationTokens, head?: boolean) {
  const loaded = await engine.library.load({ model, context: CONTEXT, threads: 1, gpuLayers: 0 });
  const done: number[] = [];
  const entries = await loaded.importance({ tokens, head, onProgress: (chunks) => done.push(chunks) });
  await loaded.close();
  return { entries, done };
}

async function readFloats(path: string, name: string): Promise<Float32Array> {
  const file = await openLocalModel(path);
  const tensor = file.model.tensors.find((each) => each.name === name);
  if (tensor?.type !== "F32") throw new Error(`${name} is ${tensor?.type}`);
  const bytes = await file.read(tensor, 0, tensor.bytes);
  await file.close();
  return new Float32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength));
}

const entryOf = (entries: ReadonlyMap<string, ImportanceSums>, name: string): ImportanceSums => {
  const entry = entries.get(name);
  if (entry === undefined) throw new Error(`${name} is not among ${[...entries.keys()].join(", ")}`);
  return entry;
};

it("sums the squares of what the first layer's attention reads: the normed embeddings of the tokens", async () => {
  const path = await writeRunnable("f32", dir);
  const tokens = drawTokens(40);
  const { entries, done } = await collect(path, tokens);
  const embeddings = await readFloats(path, "token_embd.weight");
  const norm = await readFloats(path, "blk.0.attn_norm.weight");
  const d = norm.length;
  const expected = new Float64Array(d);
  for (const id of tokens.ids) {
    const row = embeddings.subarray(id * d, (id + 1) * d);
    const scale = 1 / (row.reduce((sum, x) => sum + x * x, 0) / d + EPSILON);
    row.forEach((x, j) => {
      expected[j] = (expected[j] as number) + x * x * scale * (norm[j] as number) ** 2;
    });
  }
  const { sums, counts } = entryOf(entries, "blk.0.attn_q.weight");
  expect([...counts]).toEqual([tokens.ids.length]);
  sums.forEach((sum, j) => {
    expect(Math.abs(sum / (expected[j] as number) - 1)).toBeLessThan(1e-4);
  });
  expect(entryOf(entries, "blk.0.attn_k.weight").sums).toEqual(sums);
  expect(entries.has("token_embd.weight") || entries.has("output.weight")).toBe(false);
  expect(done.at(-1)).toBe(40);
});

it("sums what products of one input read alike, and the head's inputs only when asked to", async () => {
  const tokens = drawTokens(8);
  const path = await writeRunnable("f32", dir);
  const { entries } = await collect(path, tokens);
  const withHead = await collect(path, tokens, true);
  const heads = [...withHead.entries.keys()].filter((name) => !entries.has(name));
  expect(heads).toEqual(["output.weight"]);
  for (const [name, entry] of entries) expect(withHead.entries.get(name)).toEqual(entry);
  expect([...entryOf(withHead.entries, "output.weight").counts]).toEqual([tokens.ids.length]);
  const tied = await collect(await writeRunnable("qwen3", dir), tokens, true);
  expect([...entryOf(tied.entries, "token_embd.weight").counts]).toEqual([tokens.ids.length]);
  for (const layer of [0, 1]) {
    const sumsOf = (part: string) => entryOf(entries, `blk.${layer}.${part}.weight`);
    expect(sumsOf("attn_v")).toEqual(sumsOf("attn_q"));
    expect(sumsOf("ffn_up")).toEqual(sumsOf("ffn_gate"));
    expect(sumsOf("attn_output")).not.toEqual(sumsOf("attn_q"));
  }
});

it("sums the inputs of an encoder, which predicts no token", async () => {
  const path = await writeRunnable("cross-encoder", dir);
  const drawn = drawTokens(3);
  // its vocabulary is small
  const tokens = { ...drawn, ids: drawn.ids.map((id) => id % 32) };
  const { entries } = await collect(path, tokens);
  expect([...entryOf(entries, "blk.0.attn_q.weight").counts]).toEqual([tokens.ids.length]);
  expect(entries.has("blk.1.ffn_down.weight")).toBe(true);
});

it("sums over sequences while it samples them what it sums over them afterwards", async () => {
  const model = await writeRunnable("llama", dir);
  const loaded = await engine.library.load({ model, context: CONTEXT, threads: 1, gpuLayers: 0 });
  const done: number[] = [];
  const asked = {
    chunks: 5,
    together: 3,
    context: CONTEXT,
    seed: 4,
    onProgress: (chunks: number) => done.push(chunks),
  };
  const sampled = await loaded.sampledImportance(asked);
  expect(await loaded.sampledImportance({ ...asked, onProgress: () => undefined })).toEqual(sampled);
  const batch = (index: number, sequences: number) =>
    loaded.sample({ sequences, length: CONTEXT, seed: seedFromName(`batch ${index}`, 4) });
  const ids = Int32Array.of(...(await batch(0, 3)), ...(await batch(1, 2)));
  const read = await loaded.importance({ tokens: { context: CONTEXT, chunks: 5, ids } });
  await loaded.close();
  expect([...sampled.keys()].sort()).toEqual([...read.keys()].sort());
  for (const [name, { sums, counts }] of read) {
    const other = entryOf(sampled, name);
    expect(other.counts).toEqual(counts);
    sums.forEach((sum, j) => {
      expect(Math.abs((other.sums[j] as number) / sum - 1)).toBeLessThan(0.02);
    });
  }
  expect(done.at(-1)).toBe(5);
});

it("counts for each expert the tokens that were routed to it", async () => {
  const tokens = drawTokens(8);
  const { entries } = await collect(await writeRunnable("moe", dir), tokens);
  const router = entryOf(entries, "blk.1.ffn_gate_inp.weight");
  const up = entryOf(entries, "blk.1.ffn_up_exps.weight");
  expect(up.counts).toHaveLength(8);
  // two experts to a token
  expect(up.counts.reduce((sum, count) => sum + count, 0)).toBe(2 * tokens.ids.length);
  const d = router.sums.length;
  router.sums.forEach((sum, j) => {
    let over = 0;
    for (let expert = 0; expert < 8; expert++) over += up.sums[expert * d + j] as number;
    expect(Math.abs(over / (2 * sum) - 1)).toBeLessThan(1e-4);
  });
  expect(entryOf(entries, "blk.1.ffn_down_exps.weight").counts).toEqual(up.counts);
});

it("llama-imatrix is asked for the GGUF form, without perplexity", () => {
  const job = { model: "m.gguf", output: "i.gguf", threads: 2, gpuLayers: 0 };
  expect(imatrixArguments({ ...job, text: { path: "t.txt", context: 256, chunks: 9 } }).join(" ")).toBe(
    "-m m.gguf -f t.txt -o i.gguf -c 256 -t 2 -ngl 0 --output-format gguf --no-ppl --chunks 9",
  );
});
