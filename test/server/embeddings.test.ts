import { afterEach, describe, expect, it } from "vitest";
import { VoyageAIClient } from "voyageai";
import type { Embedder } from "../../src/embed/embedder.ts";
import { EngineError, UsageError } from "../../src/errors.ts";
import type { LocalServer } from "../../src/local-server.ts";
import { embeddingEndpoints } from "../../src/server/embedding-endpoints.ts";
import { openLasting } from "../../src/server/lasting.ts";
import { buildServer } from "../../src/server/server.ts";
import { post } from "./start-server.ts";

let server: LocalServer | undefined;
afterEach(() => server?.close());

/** Vectors on the unit circle, by the length of the text. */
function embedderOf() {
  const seen: string[][] = [];
  const embedder: Pick<Embedder, "embed"> = {
    async embed(texts) {
      seen.push([...texts]);
      if (texts.includes("")) throw new UsageError("a text has no token to embed; leave empty texts out");
      return texts.map((text) => ({
        vector: Float32Array.of(Math.cos(text.length), Math.sin(text.length), 0),
        tokens: text.length,
        truncated: text.length > 100,
      }));
    },
  };
  return { embedder, seen };
}

async function start({ embedder }: { embedder: Pick<Embedder, "embed"> }): Promise<string> {
  const prefixes = { queryPrefix: "query: ", documentPrefix: "passage: " };
  server = buildServer({
    endpoints: (limits) => embeddingEndpoints(embedder, "m", prefixes, limits),
    modelType: { embedding: { pooling: "mean" } },
    contextTokens: 512,
    modelName: "m",
    queueLimit: 10,
    bodyLimitBytes: 10_000,
    maxDocuments: 20,
  });
  return server.listen({ host: "127.0.0.1", port: 0 });
}

const vectorOf = (length: number) => [Math.fround(Math.cos(length)), Math.fround(Math.sin(length)), 0];

describe("/v1/embeddings", () => {
  it("answers as OpenAI does, a text or many, in their order", async () => {
    const url = await start(embedderOf());
    const texts = Array.from({ length: 20 }, (_, i) => "x".repeat(i + 1));
    const response = await post(`${url}/v1/embeddings`, { input: texts, model: "any" });
    expect(response.status).toBe(200);
    expect(await response.json()).toEqual({
      object: "list",
      data: texts.map(({ length }, index) => ({ object: "embedding", index, embedding: vectorOf(length) })),
      model: "any",
      usage: { prompt_tokens: 210, total_tokens: 210 },
    });
    const one = (await (await post(`${url}/embeddings`, { input: "Paris" })).json()) as { data: object[] };
    expect(one.data).toEqual([{ object: "embedding", index: 0, embedding: vectorOf(5) }]);
  });

  it("gives the bytes that OpenAI's own clients ask for, and fewer numbers where they are asked for", async () => {
    const url = await start(embedderOf());
    const asked = { input: "Paris", encoding_format: "base64", dimensions: 1 };
    const { data } = (await (await post(`${url}/v1/embeddings`, asked)).json()) as { data: { embedding: string }[] };
    // the first of its numbers, at length 1 again
    expect(Buffer.from(data[0]?.embedding ?? "", "base64").readFloatLE(0)).toBe(Math.sign(Math.cos(5)));
  });

  it("answers TEI's clients with vectors alone", async () => {
    const response = await post(`${await start(embedderOf())}/embed`, { inputs: ["Paris", "Rome"], truncate: true });
    expect(await response.json()).toEqual([vectorOf(5), vectorOf(4)]);
  });

  it.each([
    ["query", "query: a"],
    ["search_query", "query: a"],
    ["search_document", "passage: a"],
    ["passage", "passage: a"],
    ["classification", "a"],
    [null, "a"],
  ])("puts the prefix of %s before a text", async (input_type, text) => {
    const { embedder, seen } = embedderOf();
    await post(`${await start({ embedder })}/v1/embeddings`, { input: ["a"], input_type });
    expect(seen).toEqual([[text]]);
  });

  it.each([
    [{}, /"input" is missing/],
    [{ input: [] }, /"input" is empty/],
    [{ input: [1, 2] }, /token ids are another tokenizer's/],
    [{ input: [[1, 2]] }, /check_embedding_ctx_length/],
    [{ input: ["a", {}] }, /"input"\[1\] must be a text/],
    [{ input: ["a", ""] }, /no token to embed/],
    [{ input: new Array(21).fill("a") }, /has 21 texts, at most 20/],
    [{ input: "a", dimensions: 4 }, /"dimensions" is 4, and the model has 3/],
    [{ input: "a", encoding_format: "int8" }, /"encoding_format" is "int8"/],
    [{ input: "x".repeat(101), truncation: false }, /text 0 is longer than the context/],
  ])("refuses %j with what is wrong", async (body, message) => {
    const response = await post(`${await start(embedderOf())}/v1/embeddings`, body);
    expect(response.status).toBe(400);
    expect(((await response.json()) as { message: string }).message).toMatch(message);
  });

  it("says what is there where somebody wants to rank", async () => {
    const response = await post(`${await start(embedderOf())}/v1/rerank`, { query: "q", documents: ["d"] });
    expect(response.status).toBe(404);
    expect(((await response.json()) as { message: string }).message).toMatch(/POST \/v1\/embeddings works/);
  });

  it("is what voyageai's client takes", async () => {
    const { embedder, seen } = embedderOf();
    const client = new VoyageAIClient({ apiKey: "k", environment: `${await start({ embedder })}/v1` });
    const { data, usage } = await client.embed({ input: ["Paris", "Rome"], model: "voyage-3", inputType: "query" });
    expect(data?.map(({ embedding }) => embedding)).toEqual([vectorOf(12), vectorOf(11)]);
    expect(usage?.totalTokens).toBe(23);
    expect(seen).toEqual([["query: Paris", "query: Rome"]]);
  });

  it.each([
    ["openai 4 (npm) and 1 (Python)", { input: ["Paris"], model: "m", encoding_format: "base64" }],
    ["@langchain/openai", { model: "m", input: ["Paris"] }],
    ["@ai-sdk/openai-compatible", { model: "m", input: ["Paris"], encoding_format: "float" }],
    ["Open WebUI", { input: ["Paris"], model: "m", user: "u" }],
  ])("takes a request in the shape of %s", async (_, body) => {
    const response = await post(`${await start(embedderOf())}/v1/embeddings`, body);
    expect(((await response.json()) as { data: object[] }).data).toHaveLength(1);
  });
});

describe("what lasts", () => {
  it("is opened again after its engine failed, and work is done once more where a process ended", async () => {
    let opened = 0;
    const lasting = await openLasting(async () => ({ own: ++opened, close: async () => undefined }));
    const died = Object.assign(new EngineError("died"), { ended: { code: 1, signal: null } });
    const results = await lasting.use(async ({ own }) => {
      if (own === 1) throw died;
      return own;
    });
    expect([results, opened]).toEqual([2, 2]);
    await expect(lasting.use(() => Promise.reject(new EngineError("no room")))).rejects.toThrow("no room");
    expect(await lasting.use(async ({ own }) => own)).toBe(3);
  });
});
