import { copyFile, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type EmbeddedEngine, openEmbeddedEngine } from "../../src/engine/embedded.ts";
import type { RewrittenTensor } from "../../src/engine/engine.ts";
import { createRandom } from "../../src/random.ts";
import { moeFamily, qwen3Family } from "../fixtures/families.ts";
import { readModel } from "../quantize/paper-model.ts";
import { writeSmallModel } from "./small-model.ts";

const CONTEXT = 32;
const random = createRandom(1);
const ids = Int32Array.from({ length: 2 * CONTEXT }, () => Math.floor(random() * 256));
const score = { tokens: { context: CONTEXT, chunks: 2, ids }, first: 0, count: 2 };
const SIZES = { layers: 2, d: 64, ff: 128, heads: 2, kvHeads: 1 };

let dir: string;
let engine: EmbeddedEngine;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), "prism-rewrite-loaded-"));
  engine = await openEmbeddedEngine({ threads: 1 });
});
afterAll(async () => {
  await engine.close();
  await rm(dir, { recursive: true, force: true });
});

async function tensorOf(path: string, name: string): Promise<RewrittenTensor> {
  const tensor = (await readModel(path)).tensors.find((found) => found.name === name);
  if (tensor === undefined) throw new Error(`${path} has no ${name}`);
  return { name, offset: tensor.offset, shape: tensor.shape, sourceType: tensor.type };
}

const load = (model: string, how: { mapped?: true; rewritable?: true }) =>
  engine.library.load({ model, context: CONTEXT, threads: 1, gpuLayers: 0, ...how });

describe("weights of a loaded model", () => {
  it.each([
    ["a head that is the embedding", "tied", "token_embd.weight"],
    ["an attention", "tied", "blk.1.attn_v.weight"],
    ["experts", "moe", "blk.0.ffn_up_exps.weight"],
  ])("are computed with as they are written, and are what they were when put back: %s", async (_, name, weight) => {
    const family = name === "moe" ? moeFamily(SIZES) : qwen3Family(SIZES);
    const from = await writeSmallModel(dir, name, { family });
    const tensors = [await tensorOf(from, weight)];
    const loaded = await load(from, { rewritable: true });
    const before = await loaded.score(score);
    await loaded.rewrite({ from, tensors, type: "Q4_0" });
    const degraded = await loaded.score(score);
    await loaded.rewrite({ from, tensors });
    expect(await loaded.score(score)).toEqual(before);
    await loaded.close();

    const to = join(dir, "copy.gguf");
    await copyFile(from, to);
    await engine.library.rewrite({ from, to, tensors, type: "Q4_0" });
    const copy = await load(to, { mapped: true });
    expect(degraded).toEqual(await copy.score(score));
    expect(degraded).not.toEqual(before);
    await copy.close();
  });

  it("that no operation reads, or that the file has of another size, are refused", async () => {
    const from = await writeSmallModel(dir, "model");
    const loaded = await load(from, { rewritable: true });
    const tensor = await tensorOf(from, "output.weight");
    const rewrite = (wrong: Partial<RewrittenTensor>) =>
      loaded.rewrite({ from, tensors: [{ ...tensor, ...wrong }], type: "Q4_0" });
    await expect(rewrite({ name: "none.weight" })).rejects.toThrow(
      "no operation of the loaded model reads none.weight",
    );
    await expect(rewrite({ shape: [64, 8] })).rejects.toThrow("output.weight has 32896 bytes as it is loaded, 1024 in");
    await loaded.close();
    const mapped = await load(from, { mapped: true });
    await expect(mapped.rewrite({ from, tensors: [tensor] })).rejects.toThrow("was not loaded to be written to");
    await mapped.close();
  });
});
