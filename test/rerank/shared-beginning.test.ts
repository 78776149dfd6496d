import { afterAll, beforeAll, expect, it } from "vitest";
import { openEmbeddedEngine } from "../../src/engine/embedded.ts";
import { type Engine, type LoadedRanker, requireLibrary } from "../../src/engine/engine.ts";
import { buildPrompts } from "../../src/rerank/build-prompts.ts";
import { promptForm } from "../../src/rerank/encode-prompts.ts";
import { countShared, sharedBeginning } from "../../src/rerank/shared-beginning.ts";
import { MODEL } from "../cli/prism.ts";

let engine: Engine;
let ranker: LoadedRanker;
beforeAll(async () => {
  engine = await openEmbeddedEngine({ threads: 1 });
  const signal = new AbortController().signal;
  ranker = await requireLibrary(engine).loadRanker({ model: MODEL, threads: 1, gpuLayers: 0, signal });
});
afterAll(() => engine.close());

const causal = promptForm({ head: "yes-no-logits" });

it("is what the prompts of all documents begin with, nearly all that stands before the document", async () => {
  const asked = { query: "where is the {document}?", instruct: "find it" };
  const documents = ["", "a", " a", "\n\nb", "…", "𝄞", "7", ": ", "It was a dark night. ".repeat(500)];
  const beginning = await sharedBeginning(ranker, causal, asked);
  const prompts = await buildPrompts(ranker, causal, 600, { ...asked, documents });
  for (const { ids } of prompts) expect(countShared(ids, beginning)).toBe(beginning.length);
  expect(beginning.length).toBeGreaterThan(50);
  const text = await ranker.detokenize(beginning);
  expect(text).toContain("where is the {document}?");
  expect(text).not.toContain("assistant");
});

it("is none of a prompt that begins otherwise, or with the document", async () => {
  const beginning = await sharedBeginning(ranker, causal, { query: "q" });
  expect(countShared(beginning, beginning)).toBe(0);
  expect(countShared(Int32Array.of(1, ...beginning), beginning)).toBe(0);
  const form = { ...causal, template: "{document} {query}" };
  expect(await sharedBeginning(ranker, form, { query: "q" })).toHaveLength(0);
});
