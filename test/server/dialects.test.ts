import { afterEach, describe, expect, it } from "vitest";
import { sigmoid } from "../../src/rerank/rerank-head.ts";
import { post, scorerOf, start, stop } from "./start-server.ts";

afterEach(stop);

const ASKED = { query: "capital?", documents: ["Paris", "Bananas!", "long"] };

const answer = async (url: string, body: unknown) => (await post(url, body)).json();

describe("what clients call by other names", () => {
  it("reaches the scorer: instructions, lengths, refusals", async () => {
    const { scorer, seen } = scorerOf();
    const url = `${await start({ scorer })}/v1/rerank`;
    const asked = async (fields: object) => {
      expect((await post(url, { ...ASKED, ...fields })).status).toBe(200);
      const { query: _query, documents: _documents, signal: _signal, pause: _pause, ...rest } = seen.at(-1) ?? {};
      return rest;
    };
    const none = { instruct: undefined, documentTokens: undefined, promptTokens: undefined, refuseLonger: false };
    expect(await asked({})).toEqual(none);
    expect(await asked({ instruct: "a" })).toEqual({ ...none, instruct: "a" });
    expect(await asked({ instruction: "b", instruct: null })).toEqual({ ...none, instruct: "b" });
    expect(await asked({ max_tokens_per_doc: 7, priority: 0 })).toEqual({ ...none, documentTokens: 7 });
    expect(await asked({ truncate_prompt_tokens: 99, truncation_side: "right" })).toEqual({
      ...none,
      promptTokens: 99,
    });
    expect(await asked({ truncate_prompt_tokens: -1, max_tokens_per_doc: 0 })).toEqual(none);
    expect(await asked({ truncation: false })).toEqual({ ...none, refuseLonger: true });
    expect(await asked({ truncate: false, truncation_direction: "Right" })).toEqual({ ...none, refuseLonger: true });
  });

  it("may be null wherever it may be absent", async () => {
    const url = await start(scorerOf());
    const names = ["instruct", "instruction", "top_n", "top_k", "return_documents", "return_text", "raw_scores"];
    names.push("truncate", "truncation", "truncation_direction", "truncation_side", "model", "user");
    names.push("max_tokens_per_doc", "truncate_prompt_tokens", "texts", "max_chunks_per_doc", "rank_fields");
    const nulls = Object.fromEntries(names.map((name) => [name, null]));
    expect(await answer(`${url}/v1/rerank`, { ...ASKED, ...nulls })).toMatchObject({
      model: "m",
      results: { length: 3 },
    });
  });

  it.each([
    [{ instruction: 1 }, /"instruction" must be a text/],
    [{ max_tokens_per_doc: -1 }, /"max_tokens_per_doc" must be a whole number/],
    [{ truncate_prompt_tokens: 1.5 }, /"truncate_prompt_tokens" must be/],
    [{ truncation: "no" }, /"truncation" must be true or false/],
    [{ truncation_direction: "Left" }, /can only be "right"/],
    [{ raw_scores: 1 }, /"raw_scores" must be/],
    [{ max_tokens_per_query: 10 }, /a query is never cut/],
    [{ rank_fields: ["title", "text"] }, /"rank_fields" can only name "text"/],
    [{ documents: null, texts: [] }, /"texts" must be an array/],
  ])("is refused where it is %j", async (fields, message) => {
    const response = await post(`${await start(scorerOf())}/v1/rerank`, { ...ASKED, ...fields });
    expect(response.status).toBe(400);
    const { error, message: cohere } = (await response.json()) as Record<string, unknown>;
    expect(error).toMatchObject({ code: 400, message: cohere });
    expect(cohere).toMatch(message);
  });

  it("takes a top_n of 0 for all", async () => {
    const url = await start(scorerOf());
    expect(await answer(`${url}/v1/rerank`, { ...ASKED, top_n: 0 })).toMatchObject({ results: { length: 3 } });
  });
});

describe("TEI", () => {
  it("asks with texts and is answered with a list", async () => {
    const url = await start(scorerOf());
    const body = { query: "q", texts: ["Paris", "Bananas!"], truncate: true };
    expect(await answer(`${url}/rerank`, body)).toEqual([
      { index: 1, score: 0.08 },
      { index: 0, score: 0.05 },
    ]);
    expect(await answer(`${url}/rerank`, { ...body, return_text: true, raw_scores: true })).toEqual([
      { index: 1, score: expect.closeTo(Math.log(0.08 / 0.92), 12), text: "Bananas!" },
      { index: 0, score: expect.closeTo(Math.log(0.05 / 0.95), 12), text: "Paris" },
    ]);
  });

  it("is told what the server takes", async () => {
    const { scorer } = scorerOf();
    const url = await start({ scorer: { ...scorer, contextTokens: 512 } });
    expect(await (await fetch(`${url}/info`)).json()).toMatchObject({
      model_id: "m",
      model_type: { reranker: {} },
      max_input_length: 512,
      max_client_batch_size: 50,
      max_concurrent_requests: 201,
    });
  });
});

describe("raw scores", () => {
  it("are the head's logit where it has one, and finite where a softmax ends in 0 or 1", async () => {
    const { scorer } = scorerOf();
    const scored = [{ score: sigmoid(2), logit: 2 }, { score: 1 }, { score: 0 }];
    const score = async () => scored.map((each) => ({ ...each, truncated: false }));
    const url = await start({ scorer: { ...scorer, score } });
    const { results } = (await answer(`${url}/v1/rerank`, { ...ASKED, raw_scores: true })) as {
      results: { index: number; relevance_score: number }[];
    };
    expect(results.map(({ index }) => index)).toEqual([1, 0, 2]);
    expect(results.map(({ relevance_score }) => relevance_score)).toEqual([
      expect.closeTo(16.6, 1),
      2,
      expect.closeTo(-16.6, 1),
    ]);
  });
});

describe("vLLM's score", () => {
  it("takes one text with many, or pair by pair, in the order of the request", async () => {
    const { scorer, seen } = scorerOf();
    const url = await start({ scorer });
    const data = [
      { index: 0, object: "score", score: 0.05 },
      { index: 1, object: "score", score: 0.08 },
    ];
    for (const path of ["/score", "/v1/score"]) {
      const body = { model: "x", text_1: "q", text_2: ["Paris", "Bananas!"] };
      expect(await answer(url + path, body)).toMatchObject({
        object: "list",
        model: "x",
        data,
        usage: { prompt_tokens: 10 },
      });
    }
    expect(await answer(`${url}/score`, { text_1: ["p", "q"], text_2: ["Paris", "Bananas!"] })).toMatchObject({ data });
    expect(seen.slice(-2).map(({ query, documents }) => [query, documents])).toEqual([
      ["p", ["Paris"]],
      ["q", ["Bananas!"]],
    ]);
    expect(await answer(`${url}/score`, { text_1: "q", text_2: "Paris" })).toMatchObject({ data: { length: 1 } });
  });

  it.each([
    [{ text_1: "q" }, 400, /"text_2" must be a text/],
    [{ text_1: [], text_2: ["a"] }, 400, /"text_1" must be a text/],
    [{ text_1: ["p", "q"], text_2: ["a"] }, 400, /"text_1" has 2 texts and "text_2" 1/],
    [{ text_1: "q", text_2: new Array(51).fill("a") }, 400, /"text_2" has 51 entries, at most 50/],
    [{ text_1: "q".repeat(300), text_2: new Array(50).fill("a") }, 413, /read with each of 50 documents, 15050 char/],
  ])("is refused for %j", async (body, status, message) => {
    const response = await post(`${await start(scorerOf())}/score`, body);
    expect([response.status, await response.json()]).toMatchObject([
      status,
      { error: { message: expect.stringMatching(message) } },
    ]);
  });
});

describe("models and health", () => {
  it("are told on every path that clients ask", async () => {
    const url = await start({ ...scorerOf(), modelName: "org/m.Q4_K" });
    const get = async (path: string) => {
      const response = await fetch(url + path);
      return [response.status, await response.json()] as const;
    };
    for (const path of ["/health", "/v1/health"]) expect(await get(path)).toEqual([200, { status: "ok", waiting: 0 }]);
    for (const path of ["/models", "/v1/models"]) {
      expect(await get(path)).toMatchObject([200, { object: "list", data: [{ id: "org/m.Q4_K", object: "model" }] }]);
      for (const name of ["org/m.Q4_K", "org%2Fm.Q4_K"]) {
        expect(await get(`${path}/${name}`)).toMatchObject([200, { id: "org/m.Q4_K" }]);
      }
      expect(await get(`${path}/other`)).toMatchObject([404, { error: { message: /org\/m\.Q4_K/ } }]);
    }
  });
});
