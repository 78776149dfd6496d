import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { openEmbeddedEngine } from "../../src/engine/embedded.ts";
import { type Engine, type LoadedRanker, requireLibrary } from "../../src/engine/engine.ts";
import { buildPrompts, type Prompt } from "../../src/rerank/build-prompts.ts";
import { promptForm } from "../../src/rerank/encode-prompts.ts";
import type { Reranker } from "../../src/rerank/reranker.ts";
import { writeRunnable } from "../fixtures/runnable.ts";

const BOOKS = join(import.meta.dirname, "../../models/books-llama-8m-f16.gguf");
const LIMIT = 400;
const query = "what is it?";

let dir: string;
let engine: Engine;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), "prism-prompts-"));
  engine = await openEmbeddedEngine({ threads: 1 });
});
afterAll(async () => {
  await engine.close();
  await rm(dir, { recursive: true, force: true });
});

/** A model's tokenizer, and the units of text that it was given. */
async function openRanker(model: string) {
  const signal = new AbortController().signal;
  const ranker = await requireLibrary(engine).loadRanker({ model, threads: 1, gpuLayers: 0, signal });
  const read = { units: 0, calls: 0 };
  const counting: LoadedRanker = {
    ...ranker,
    encode(texts, options) {
      read.calls++;
      read.units += texts.join("").length;
      return ranker.encode(texts, options);
    },
  };
  return { ranker: counting, read };
}

/** `head`: a causal reranker fills its template, a cross-encoder joins pairs. */
const reranker = (head: Reranker["head"]) => promptForm({ head });

const idsOf = (prompts: readonly Prompt[]) => prompts.map(({ ids }) => [...ids]);

describe("the prompts of documents", () => {
  it.each([
    "The tower stands in Paris, and it is tall. ",
    "漢字かな交じり文。",
    "👩‍👩‍👧 é€𝄞 ",
    "abcab",
    "a",
    "\n \t",
    "x\u0000",
    "\ud800x",
  ])("are the same for %j again and again, though less is read than there is", async (text) => {
    const { ranker, read } = await openRanker(BOOKS);
    // all of it is read: it is short enough to be looked at whole
    const whole = text.repeat(Math.floor((16 * LIMIT) / text.length));
    const long = text.repeat(Math.floor(1_000_000 / text.length));
    for (const head of ["yes-no-logits", "sigmoid"] as const) {
      const [expected] = await buildPrompts(ranker, reranker(head), LIMIT, { query, documents: [whole] });
      expect(expected?.truncated).toBe(true);
      read.units = 0;
      const prompts = await buildPrompts(ranker, reranker(head), LIMIT, {
        query,
        documents: [long, long.slice(0, -1)],
      });
      expect(idsOf(prompts)).toEqual([[...(expected as Prompt).ids], [...(expected as Prompt).ids]]);
      expect(prompts.map(({ truncated }) => truncated)).toEqual([true, true]);
      expect(read.units).toBeLessThan(long.length);
    }
    await ranker.close();
  });

  it("hold all of a long document that a tokenizer makes few tokens of", async () => {
    const { ranker } = await openRanker(await writeRunnable("cross-encoder", dir));
    const documents = [`${" ".repeat(100_000)}end`, "end"];
    const [spaced, plain] = await buildPrompts(ranker, reranker("sigmoid"), LIMIT, { query, documents });
    expect(spaced).toEqual(plain);
    await ranker.close();
  });

  it("hold so many tokens of each document as are asked for, and say which were cut", async () => {
    const { ranker } = await openRanker(BOOKS);
    const documents = ["The tower stands in Paris, and it is tall.", "Paris", "é€𝄞 ".repeat(5000)];
    const tokensOf = async (text: string) =>
      (await ranker.encode([text], { addSpecial: false, parseSpecial: false }))[0] as Int32Array;
    for (const head of ["yes-no-logits", "sigmoid"] as const) {
      for (const documentTokens of [1, 3, 7]) {
        const cut = await buildPrompts(ranker, reranker(head), LIMIT, { query, documents, documentTokens });
        const beginnings = await Promise.all(
          documents.map(async (text) => ranker.detokenize((await tokensOf(text)).slice(0, documentTokens))),
        );
        const [first] = await buildPrompts(ranker, reranker(head), LIMIT, { query, documents: beginnings.slice(0, 1) });
        expect([...(cut[0] as Prompt).ids]).toEqual([...(first as Prompt).ids]);
        expect(cut[0]?.truncated && cut[2]?.truncated).toBe(true);
        const [none] = await buildPrompts(ranker, reranker(head), LIMIT, { query, documents: [""] });
        for (const { ids } of cut) {
          expect(ids.length).toBeLessThanOrEqual((none as Prompt).ids.length + documentTokens + 1);
        }
      }
      const whole = await buildPrompts(ranker, reranker(head), LIMIT, { query, documents });
      const roomy = await buildPrompts(ranker, reranker(head), LIMIT, { query, documents, documentTokens: 5000 });
      expect(roomy).toEqual(whole);
    }
    await ranker.close();
  });

  it("fit in fewer tokens than the context has, and are refused by the first that does not", async () => {
    const { ranker } = await openRanker(BOOKS);
    const documents = ["short", "it is long ".repeat(400)];
    for (const head of ["yes-no-logits", "sigmoid"] as const) {
      const request = { query, documents, promptTokens: 250 };
      const prompts = await buildPrompts(ranker, reranker(head), LIMIT, request);
      expect(prompts.map(({ truncated }) => truncated)).toEqual([false, true]);
      expect(prompts[1]?.ids.length).toBe(250);
      const longer = await buildPrompts(ranker, reranker(head), LIMIT, { ...request, promptTokens: 10 * LIMIT });
      expect(longer[1]?.ids.length).toBe(LIMIT);
      const whole = buildPrompts(ranker, reranker(head), LIMIT, { query, documents, refuseLonger: true });
      await expect(whole).rejects.toThrow(/document 1 is too long to be read whole/);
    }
    const narrow = buildPrompts(ranker, reranker("yes-no-logits"), LIMIT, { query, documents, promptTokens: 8 });
    await expect(narrow).rejects.toThrow(/the query leaves no room for a document in a context of 8/);
    await ranker.close();
  });

  it("refuse a query or an instruct of megabytes without reading it to its end", async () => {
    const { ranker, read } = await openRanker(BOOKS);
    const long = "the query of words ".repeat(500_000);
    const build = (request: { query: string; instruct?: string }) =>
      buildPrompts(ranker, reranker("yes-no-logits"), LIMIT, { documents: ["d"], ...request });
    await expect(build({ query: long })).rejects.toThrow(/the query leaves no room .* context of 400/);
    await expect(build({ query, instruct: long })).rejects.toThrow(/the instruct leaves no room/);
    expect(read.units).toBeLessThan(100_000);
    await ranker.close();
  });

  it("are given up between two calls of the tokenizer when the client hangs up", async () => {
    const { ranker, read } = await openRanker(BOOKS);
    const controller = new AbortController();
    const documents = new Array<string>(3000).fill("words of it ".repeat(100));
    const encode = ranker.encode;
    const leaving: LoadedRanker = {
      ...ranker,
      encode(texts, options) {
        if (texts.length > 1) controller.abort();
        return encode(texts, options);
      },
    };
    const { signal } = controller;
    const built = buildPrompts(leaving, reranker("sigmoid"), LIMIT, { query, documents, signal });
    await expect(built).rejects.toThrow(/abort/);
    expect(read.units).toBeLessThan(documents.join("").length / 4);
    await ranker.close();
  });
});
