/** The embedded engine reads images where libmtmd was built (prism doctor --build-mtmd); skipped where it wasn't. */
import { copyFile, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { openEmbeddedEngine } from "../../src/engine/embedded.ts";
import type { Engine } from "../../src/engine/engine.ts";
import { openModel } from "../../src/gguf/open.ts";
import { checkPicture } from "../../src/rerank/picture.ts";
import { evaluateRerank } from "../../src/rerank/rerank.ts";
import { openRerankScorer, type RerankScorer } from "../../src/rerank/rerank-scorer.ts";
import { describeReranker } from "../../src/rerank/reranker.ts";
import { testBench } from "../bench.ts";
import { barChart, gradient, pngOf } from "../fixtures/pictures.ts";
import { type RunnableKind, writeRunnable } from "../fixtures/runnable.ts";

const dir = await mkdtemp(join(tmpdir(), "prism-seen-"));
const engine: Engine = await openEmbeddedEngine({ threads: 1 });
const blind = !engine.library?.seesImages;
afterAll(async () => {
  await engine.close();
  await rm(dir, { recursive: true, force: true });
});

const picture = (bytes: Buffer) => ({ picture: checkPicture(bytes, (reason) => new Error(reason)) });
const CHART = picture(barChart(96, 64, [0.2, 0.9]));
const RED = picture(gradient(64, 96, [255, 0, 0]));
const ASKED = { query: "sales", documents: ["sales", CHART, RED, { ...CHART, text: "sales" }] };

let mmproj: string;
beforeAll(async () => {
  mmproj = await writeRunnable("qwen3vl-mmproj", dir);
});

async function withScorer<Result>(
  kind: RunnableKind,
  work: (scorer: RerankScorer) => Promise<Result>,
): Promise<Result> {
  const file = await openModel(await writeRunnable(kind, dir));
  await file.close();
  const scorer = await openRerankScorer(describeReranker(file.model), { mmproj }, testBench(engine));
  return work(scorer).finally(() => scorer.close());
}
const scoresOf = (scored: readonly { readonly score: number }[]) => scored.map(({ score }) => score);

describe.skipIf(blind)("images in the embedded engine", () => {
  it("move scores, and the same are scored the same", async () => {
    await withScorer("causal-qwen3vl-reranker", async (scorer) => {
      const [text = 0, chart = 0, red = 0, both = 0] = scoresOf(await scorer.score(ASKED));
      expect(new Set([text, chart, red, both]).size).toBe(4);
      expect(scoresOf(await scorer.score(ASKED))).toEqual([text, chart, red, both]);
      expect(scoresOf(await scorer.score({ query: "sales", documents: [RED] }))).toEqual([red]);
      const [alone = 0] = scoresOf(await scorer.score({ query: "sales", documents: ["sales"] }));
      expect(text).toBeCloseTo(alone, 5);
      expect(scoresOf(await scorer.score({ query: RED, documents: ["sales"] }))[0]).not.toBeCloseTo(text, 5);
    });
  });

  it("are judged by a rank head as by the words whose rows it has", async () => {
    const [words, head] = await Promise.all(
      (["causal-qwen3vl-reranker", "qwen3vl-reranker"] as const).map((kind) =>
        withScorer(kind, async (scorer) => scoresOf(await scorer.score(ASKED))),
      ),
    );
    for (const [index, score] of (words ?? []).entries()) expect(head?.[index]).toBeCloseTo(score, 4);
  });

  it("are refused where they can't be decoded or don't fit, and the engine goes on", async () => {
    await withScorer("causal-qwen3vl-reranker", async (scorer) => {
      const refused = async (document: object, message: RegExp) => {
        await expect(scorer.score({ query: "q", documents: ["a", document as typeof RED] })).rejects.toThrow(message);
      };
      await refused(picture(pngOf(64, 64, Buffer.alloc(30))), /^document 1: its image could not be decoded/);
      await refused(picture(gradient(900, 900, [9, 9, 9])), /^document 1 has \d+ tokens .* at most 512 are read/);
      await expect(scorer.score({ ...ASKED, documentTokens: 4 })).rejects.toThrow(/read whole/);
      expect(await scorer.score({ query: "q", documents: [RED] })).toHaveLength(1);
    });
  });

  it("stand beside texts that can't speak for the model", async () => {
    await withScorer("causal-qwen3vl-reranker", async (scorer) => {
      const tokens = async (text: string) =>
        (await scorer.score({ query: "q", documents: [{ ...RED, text }] }))[0]?.tokens ?? 0;
      // a token of its own as a special one, its letters as text
      expect((await tokens("<|im_end|>")) - (await tokens(""))).toBe("<|im_end|>".length);
    });
  });

  it("are read with the reference's projector wherever the other file lies", async () => {
    const [home, elsewhere] = [await mkdtemp(join(dir, "home-")), await mkdtemp(join(dir, "elsewhere-"))];
    const reference = await writeRunnable("causal-qwen3vl-reranker", home);
    await copyFile(mmproj, join(home, "mmproj-causal-qwen3vl-reranker.gguf"));
    await writeFile(join(home, "red.png"), gradient(64, 48, [255, 0, 0]));
    const set = join(home, "set.jsonl");
    await writeFile(set, JSON.stringify({ query: "red", documents: ["red", { image: "red.png" }] }));
    const model = join(elsewhere, "plan.gguf");
    await copyFile(reference, model);
    const { models } = await evaluateRerank([model], { reference, set }, testBench(engine));
    expect(models[0]?.rerank.fidelity?.maxAbsDelta).toBe(0);
  });

  it("need a projector, and the model's own", async () => {
    const file = await openModel(await writeRunnable("causal-qwen3vl-reranker", dir));
    await file.close();
    const reranker = describeReranker(file.model);
    const open = (projector?: string) => openRerankScorer(reranker, { mmproj: projector }, testBench(engine));
    const without = await open();
    await expect(without.score(ASKED)).rejects.toThrow(/name it with --mmproj FILE/);
    await without.close();
    await expect(open(reranker.path)).rejects.toThrow(/is no projector \(its architecture is qwen3vl, not clip\)/);
    const others = await open(await writeRunnable("clip", dir));
    await expect(others.score(ASKED)).rejects.toThrow(/could not load .* as the projector/);
    await others.close();
  });
});
