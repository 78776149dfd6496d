/**
 * Clients as their programs run them. Two are small enough to be installed here; of the others what they sent was
 * recorded, and what they read of the answer is what must be there.
 */
import { createCohere } from "@ai-sdk/cohere";
import { afterEach, describe, expect, it } from "vitest";
import { VoyageAIClient } from "voyageai";
import { post, scorerOf, start, stop } from "./start-server.ts";

afterEach(stop);

const query = "capital of France?";
const documents = ["Paris", "Bananas", "The Eiffel Tower"];

describe("Vercel's AI SDK", () => {
  it("ranks texts and objects, and tells why a request is refused", async () => {
    const { scorer, seen } = scorerOf();
    const model = createCohere({ baseURL: `${await start({ scorer })}/v2`, apiKey: "k" }).reranking("rerank-v3.5");
    const { ranking, response } = await model.doRerank({
      query,
      documents: { type: "text", values: documents },
      topN: 2,
      providerOptions: { cohere: { maxTokensPerDoc: 100 } },
    });
    expect(ranking).toEqual([
      { index: 2, relevanceScore: 0.16 },
      { index: 1, relevanceScore: 0.07 },
    ]);
    expect(response?.id).toMatch(/^[\da-f-]{36}$/);
    expect(seen[0]?.documentTokens).toBe(100);
    const objects = { type: "object" as const, values: [{ text: "Paris" }] };
    expect((await model.doRerank({ query, documents: objects })).ranking).toHaveLength(1);
    await expect(model.doRerank({ query: "", documents: objects })).rejects.toThrow(/"query" must be a text/);
  });
});

describe("voyageai", () => {
  it("ranks, with documents where it asks for them", async () => {
    const { scorer, seen } = scorerOf();
    const client = new VoyageAIClient({ apiKey: "k", environment: `${await start({ scorer })}/v1` });
    const asked = { model: "rerank-2", query, documents, topK: 1, returnDocuments: true, truncation: false };
    const { data, usage } = await client.rerank(asked);
    expect(data).toEqual([{ index: 2, relevanceScore: 0.16, document: "The Eiffel Tower" }]);
    expect(usage).toMatchObject({ totalTokens: 15 });
    expect(seen[0]?.refuseLonger).toBe(true);
  });
});

const results = (document: (text: string) => object) => [
  { index: 2, relevance_score: 0.16, ...document("The Eiffel Tower") },
  { index: 1, relevance_score: 0.07, ...document("Bananas") },
];
const alone = () => ({});
const asObject = (text: string) => ({ document: { text } });
const asText = (document: string) => ({ document });
const cohere = (document: (text: string) => object) => ({
  id: expect.any(String),
  meta: {
    api_version: { version: expect.any(String) },
    billed_units: { search_units: 1 },
    tokens: { input_tokens: 15 },
  },
  results: results(document),
});
const shared = { model: "x", query, documents };
const withDocuments = { ...shared, top_n: 2, return_documents: true };

describe("clients that were recorded", () => {
  it.each([
    ["cohere-ai 8.1.0, v1", "/v1/rerank", { ...withDocuments, maxTokensPerDoc: 100 }, cohere(asObject)],
    ["cohere-ai 8.1.0, v2", "/v2/rerank", { ...shared, top_n: 2, max_tokens_per_doc: 100 }, cohere(alone)],
    ["@langchain/cohere 1.0.5", "/v1/rerank", { ...shared, top_n: 2, max_chunks_per_doc: null }, cohere(alone)],
    ["@llamaindex/cohere 0.0.4", "/v1/rerank", { ...shared, top_n: 2 }, cohere(alone)],
    ["litellm 1.110.2, cohere and jina_ai", "/v1/rerank", withDocuments, cohere(asObject)],
    ["litellm 1.110.2, hosted_vllm", "/rerank", withDocuments, { results: results(asObject) }],
    ["litellm 1.110.2, infinity", "/infinity/rerank", withDocuments, { results: results(asText) }],
    [
      "infinity_client 0.0.78",
      "/infinity/rerank",
      { ...withDocuments, raw_scores: false },
      { object: "rerank", results: results(asText) },
    ],
    ["cohere 5.21.1, v2", "/v2/rerank", { ...shared, top_n: 2, max_tokens_per_doc: null }, cohere(alone)],
    ["langchain-community 0.4.2, Jina", "/v1/rerank", { ...shared, top_n: 2 }, { results: results(alone) }],
    [
      "litellm 1.110.2, voyage",
      "/v1/rerank",
      { ...shared, top_k: 2, return_documents: true },
      { data: results(asText), usage: { total_tokens: 15 } },
    ],
    [
      "litellm 1.110.2, huggingface",
      "/rerank",
      { raw_scores: false, truncation_direction: "Right", query, top_n: 2, texts: documents, return_text: true },
      [
        { index: 2, score: 0.16, text: "The Eiffel Tower" },
        { index: 1, score: 0.07, text: "Bananas" },
      ],
    ],
    [
      "llama-index-postprocessor-tei-rerank 0.6.0",
      "/rerank",
      { query, texts: documents },
      [
        { index: 2, score: 0.16 },
        { index: 1, score: 0.07 },
        { index: 0, score: 0.05 },
      ],
    ],
  ])("%s is answered in its words", async (_client, path, body, expected) => {
    const response = await post((await start(scorerOf())) + path, body);
    expect(response.status).toBe(200);
    expect(await response.json()).toMatchObject(expected);
  });
});
