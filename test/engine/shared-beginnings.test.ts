import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type EmbeddedEngine, openEmbeddedEngine } from "../../src/engine/embedded.ts";
import type { LoadedRanker, QuantizeJob } from "../../src/engine/engine.ts";
import { createRandom } from "../../src/random.ts";
import { type RunnableKind, writeRunnable } from "../fixtures/runnable.ts";

let dir: string;
let engine: EmbeddedEngine;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), "prism-shared-"));
  engine = await openEmbeddedEngine({ threads: 1 });
});
afterAll(async () => {
  await engine.close();
  await rm(dir, { recursive: true });
});

const ids = Int32Array.of(5, 6, 7);
const random = createRandom(3);
const draw = (tokens: number) => Int32Array.from({ length: tokens }, () => Math.floor(random() * 200));

function promptsAfter(beginning: Int32Array, lengths: readonly number[]): Int32Array[] {
  return lengths.map((length) => Int32Array.from([...beginning, ...draw(length)]));
}

async function load(model: string): Promise<LoadedRanker> {
  return engine.library.loadRanker({ model, threads: 1, gpuLayers: 0, signal: new AbortController().signal });
}

async function modelOf(kind: RunnableKind, fileType?: QuantizeJob["fileType"]): Promise<string> {
  const source = await writeRunnable(kind, dir);
  if (fileType === undefined) return source;
  const output = join(dir, `${kind}-${fileType}.gguf`);
  await engine.quantize({ source, output, fileType, overrides: [], threads: 1 });
  return output;
}

describe("prompts that begin alike", () => {
  it.each([
    ["causal-reranker", undefined],
    ["causal-reranker", "Q4_K_M"],
    ["qwen35-reranker", undefined],
    ["qwen35-reranker", "Q4_0"],
  ] as const)(
    "give the logits that each gives whole and alone, whatever their length: %s %s",
    async (kind, fileType) => {
      const ranker = await load(await modelOf(kind, fileType));
      for (const shared of [3, 70, 133, 207]) {
        const prompts = promptsAfter(draw(shared), [1, 30, 63, 64, 65, 100, 127, 200, 290]);
        const whole = await ranker.nextLogits(prompts, { ids });
        expect(await ranker.nextLogits(prompts, { ids, shared })).toEqual(whole);
        for (const [index, prompt] of [...prompts.entries()].reverse()) {
          expect(await ranker.nextLogits([prompt], { ids, shared })).toEqual([whole[index]]);
        }
      }
      await ranker.close();
    },
  );

  it.each([
    ["reranker", undefined],
    ["reranker", "Q4_K_M"],
    ["qwen3vl-reranker", undefined],
  ] as const)("give the rank head's outputs that each gives whole and alone: %s %s", async (kind, fileType) => {
    const ranker = await load(await modelOf(kind, fileType));
    for (const shared of [70, 207]) {
      const prompts = promptsAfter(draw(shared), [1, 63, 64, 100, 200, 290]);
      const whole = await ranker.pool(prompts, { pooling: "rank" });
      expect(await ranker.pool(prompts, { pooling: "rank", shared })).toEqual(whole);
      for (const [index, prompt] of [...prompts.entries()].reverse()) {
        expect(await ranker.pool([prompt], { pooling: "rank", shared })).toEqual([whole[index]]);
      }
    }
    expect(await ranker.pool([draw(20)], { pooling: "rank", shared: 0 })).toHaveLength(1);
    await ranker.close();
  });

  it("depend on nothing that was decoded before, prompts longer than a batch too", async () => {
    const ranker = await load(await modelOf("qwen35-reranker"));
    const [first, second] = [draw(100), draw(100)].map((beginning) => promptsAfter(beginning, [90, 400, 470, 1]));
    const asked = (prompts: Int32Array[] | undefined) => ranker.nextLogits(prompts ?? [], { ids, shared: 100 });
    const answers = [await asked(first), await asked(second)];
    expect(answers[0]).not.toEqual(answers[1]);
    expect([await asked(first), await asked(second?.reverse())]).toEqual([answers[0], answers[1]?.reverse()]);
    await ranker.pool(first ?? [], { pooling: "last" });
    expect(await asked(first)).toEqual(answers[0]);
    await ranker.close();
  });
});
