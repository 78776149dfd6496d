import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { openEmbeddedEngine } from "../../src/engine/embedded.ts";
import { type Engine, requireLibrary } from "../../src/engine/engine.ts";
import { UsageError } from "../../src/errors.ts";
import { openModel } from "../../src/gguf/open.ts";
import { writeGguf } from "../../src/gguf/writer.ts";
import { createRandom } from "../../src/random.ts";
import { openRerankScorer } from "../../src/rerank/rerank-scorer.ts";
import { describeReranker } from "../../src/rerank/reranker.ts";
import { testBench } from "../bench.ts";
import { runnableGguf, writeRunnable } from "../fixtures/runnable.ts";

const WIDTH = 256;
const COUNT = "tokenizer.ggml.token_type_count";
const PROMPTS = [Int32Array.of(0, 20, 30, 2, 2, 40, 50, 60, 2), Int32Array.of(0, 21, 2, 2, 41, 2)];

let dir: string;
let engine: Engine;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), "prism-pairs-"));
  engine = await openEmbeddedEngine({ threads: 1 });
});
afterAll(async () => {
  await engine.close();
  await rm(dir, { recursive: true, force: true });
});

/** A cross-encoder whose two token types are these of three drawn ones. */
async function withTypes(first: number, second: number): Promise<string> {
  const file = runnableGguf("cross-encoder");
  const row = (seed: number) => {
    const random = createRandom(seed);
    return Float32Array.from({ length: WIDTH }, () => random() - 0.5);
  };
  const data = new Uint8Array(new Float32Array([...row(first), ...row(second)]).buffer);
  const path = join(dir, `types-${first}-${second}.gguf`);
  await writeGguf(path, {
    ...file,
    keyValues: [...file.keyValues.filter(({ key }) => key !== COUNT), { key: COUNT, type: "u32", value: 2 }],
    tensors: file.tensors.map((tensor) =>
      tensor.name === "token_types.weight" ? { ...tensor, shape: [WIDTH, 2], data } : tensor,
    ),
  });
  return path;
}

async function describeFile(path: string) {
  const file = await openModel(path);
  await file.close();
  return describeReranker(file.model);
}

/** Outputs of the head; with `seconds`, of typed pairs. */
async function pooled(path: string, seconds?: readonly number[]): Promise<number[]> {
  const { pairTypes } = await describeFile(path);
  const signal = new AbortController().signal;
  const ranker = await requireLibrary(engine).loadRanker({ model: path, threads: 1, gpuLayers: 0, signal });
  const pairs = seconds && pairTypes && { ...pairTypes, seconds };
  const outputs = await ranker.pool(PROMPTS, { pooling: "rank", pairs }).finally(() => ranker.close());
  return outputs.map(([value]) => value as number);
}

describe("typed pairs", () => {
  it("are what llama.cpp gives where every token is of the first text", async () => {
    const path = await withTypes(1, 2);
    const theirs = await pooled(path);
    for (const [at, value] of (await pooled(path, [9, 6])).entries()) expect(value).toBeCloseTo(theirs[at] ?? 0, 5);
  });

  it("are, all of the second text, what llama.cpp gives a file with the types the other way round", async () => {
    const own = await pooled(await withTypes(1, 2), [0, 0]);
    const theirs = await pooled(await withTypes(2, 1));
    const plain = await pooled(await withTypes(1, 2));
    for (const [at, value] of own.entries()) {
      // types added in another order are rounded otherwise
      const apart = Math.abs(value - (theirs[at] ?? 0));
      expect(apart).toBeLessThan(1e-3);
      expect(apart).toBeLessThan(Math.abs(value - (plain[at] ?? 0)) / 20);
    }
  });

  it("are the same from a quantized embedding as llama.cpp reads it", async () => {
    const source = await withTypes(1, 2);
    const output = join(dir, "q8.gguf");
    await engine.quantize({ source, output, fileType: "Q8_0", overrides: [], threads: 1 });
    const theirs = await pooled(output);
    for (const [at, value] of (await pooled(output, [9, 6])).entries()) expect(value).toBeCloseTo(theirs[at] ?? 0, 5);
  });

  it("score documents by both types where that is asked, and are refused without", async () => {
    const request = { query: "capital of France?", documents: ["Paris is its capital.", "Bananas."] };
    const scores = async (path: string, pairs: "published" | "llama.cpp") => {
      const scorer = await openRerankScorer(await describeFile(path), { pairs }, testBench(engine));
      return (await scorer.score(request).finally(() => scorer.close())).map(({ score }) => score);
    };
    const typed = await withTypes(1, 2);
    const [published, llama] = [await scores(typed, "published"), await scores(typed, "llama.cpp")];
    for (const [at, score] of published.entries()) expect(score).not.toBe(llama[at]);
    // equal types tell nothing apart
    const same = await withTypes(3, 3);
    const [one, other] = [await scores(same, "published"), await scores(same, "llama.cpp")];
    for (const [at, score] of one.entries()) expect(score).toBeCloseTo(other[at] ?? 0, 6);
    const single = await writeRunnable("cross-encoder", dir);
    await expect(scores(single, "published")).rejects.toThrow(UsageError);
  });
});
