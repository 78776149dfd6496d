import { afterEach, describe, expect, it } from "vitest";
import type { RerankHead } from "../../src/evaluate/rerank-result.ts";
import { openServerScorer } from "../../src/rerank/llama-server.ts";
import { sigmoid } from "../../src/rerank/rerank-head.ts";
import type { Reranker } from "../../src/rerank/reranker.ts";
import { type Answers, serve, stopServers } from "./stand-in-server.ts";

const NEVER = new AbortController().signal;

afterEach(stopServers);

const health = () => ({ status: "ok" });
const rerankerOf = (head: RerankHead, relevant = 0): Reranker => {
  return { path: "m.gguf", head, relevant, outputs: 2, vocabSize: 300, warnings: [] };
};
const results =
  (...scores: number[]) =>
  () => ({
    model: "m",
    object: "list",
    usage: { prompt_tokens: 129, total_tokens: 129 },
    results: scores.map((relevance_score, index) => ({ index, relevance_score })).reverse(),
  });
const ASKED = { query: "q", documents: ["a", "b"] };

describe("scores from a llama-server", () => {
  it("are a softmax's share as reported, or the sigmoid of a raw logit", async () => {
    const url = await serve({ "/health": health, "/v1/rerank": results(0.75, 0.25) });
    const score = async (head: RerankHead, relevant = 0) => {
      const scorer = await openServerScorer({ server: url, reranker: rerankerOf(head, relevant), signal: NEVER });
      return (await scorer.score(ASKED)).map(({ score: value }) => value);
    };
    expect(await score("softmax-in-graph")).toEqual([0.75, 0.25]);
    expect(await score("softmax-in-graph", 1)).toEqual([0.25, 0.75]);
    expect(await score("sigmoid")).toEqual([sigmoid(0.75), sigmoid(0.25)]);
    await expect(score("softmax")).rejects.toThrow(/two raw logits, of which llama-server reports one/);
  });

  it("come from the next token of a causal reranker, of the whole vocabulary where the likeliest lack yes or no", async () => {
    const asked: Record<string, unknown>[] = [];
    const url = await serve({
      "/health": health,
      "/tokenize": ({ content }) => ({ tokens: [content === "yes" ? 257 : 258] }),
      "/completion": (body) => {
        asked.push(body);
        const top = [
          { id: 42, token: "*", bytes: [42], prob: 0.5 },
          { id: 257, token: "yes", bytes: [121], prob: 0.03 },
          { id: 258, token: "no", bytes: [110], prob: 0.01 },
        ];
        // the first draw is half a character, for which llama-server reports nothing
        if (asked.length === 1) return { content: "�", tokens_evaluated: 7, truncated: false };
        const top_probs = body.n_probs === 300 ? top : top.slice(0, 2);
        return { content: "*", tokens_evaluated: 7, completion_probabilities: [{ id: 42, prob: 0.5, top_probs }] };
      },
    });
    const scorer = await openServerScorer({ server: `${url}/`, reranker: rerankerOf("yes-no-logits"), signal: NEVER });
    const [first] = await scorer.score({ query: "q", documents: ["a"] });
    expect(first?.score).toBeCloseTo(0.75, 12);
    expect(first?.tokens).toBe(7);
    expect(asked.map(({ n_probs }) => n_probs)).toEqual([50, 50, 300]);
    expect(asked[0]).toMatchObject({
      n_predict: 1,
      temperature: 1,
      top_k: -1,
      top_p: 1,
      min_p: 0,
      post_sampling_probs: true,
      cache_prompt: false,
    });
    expect(asked[0]?.prompt).toMatch(
      /<Query>: q\n<Document>: a<\|im_end\|>\n<\|im_start\|>assistant\n<think>\n\n<\/think>\n\n$/,
    );
  });

  it("come for pictures from /completion too, each where the server's own marker stands", async () => {
    const asked: Record<string, unknown>[] = [];
    const answers = (vision: boolean): Answers => ({
      "/health": health,
      "/tokenize": ({ content }) => ({ tokens: [content === "yes" ? 257 : 258] }),
      "/props": () => ({ modalities: { vision, video: vision, audio: false }, media_marker: "<__media_Yo9__>" }),
      "/completion": (body) => {
        asked.push(body);
        const top_probs = [
          { id: 257, token: "yes", prob: 0.6 },
          { id: 258, token: "no", prob: 0.2 },
        ];
        return { tokens_evaluated: 90, completion_probabilities: [{ id: 257, prob: 0.6, top_probs }] };
      },
    });
    const open = async (address: string) =>
      openServerScorer({ server: address, reranker: rerankerOf("yes-no-logits"), signal: NEVER });
    const pictured = (base64: string, text?: string) => ({ picture: { base64, width: 1, height: 1 }, text });
    const scorer = await open(await serve(answers(true)));
    const documents = ["a", pictured("AAAA"), pictured("BBBB", "sales")];
    const scores = await scorer.score({ query: pictured("QQQQ"), documents });
    expect(scores.map(({ score, tokens }) => [score.toFixed(6), tokens])).toEqual(Array(3).fill(["0.750000", 90]));
    const prompts = asked.map(({ prompt }) => prompt as { prompt_string: string; multimodal_data: string[] });
    expect(prompts.map(({ multimodal_data }) => multimodal_data)).toEqual([
      ["QQQQ"],
      ["QQQQ", "AAAA"],
      ["QQQQ", "BBBB"],
    ]);
    const mark = "<__media_Yo9__>";
    expect(prompts[0]?.prompt_string).toContain(`<Query>: ${mark}\n<Document>: a<|im_end|>`);
    expect(prompts[2]?.prompt_string).toContain(`<Query>: ${mark}\n<Document>: ${mark}sales<|im_end|>`);
    const [plain] = await scorer.score({ query: "q", documents: ["a"] });
    expect(plain?.score).toBeCloseTo(0.75, 12);
    expect(asked.at(-1)?.prompt).toMatch(/<Document>: a<\|im_end\|>/);

    await expect(scorer.score({ query: pictured("QQQQ"), documents: [`${mark}!`] })).rejects.toThrow(/a text holds/);
    await expect(scorer.score({ ...ASKED, documentTokens: 5 })).rejects.toThrow(/reads documents whole/);
    stopServers();
    const url = await serve(answers(false));
    const blind = await open(url);
    await expect(blind.score({ query: "q", documents: [pictured("AAAA")] })).rejects.toThrow(
      /can't read images; start it as llama-server -m MODEL --mmproj/,
    );
  });

  it("come for pictures from the words of a rank head's file, where these give what the head does", async () => {
    const pictured = { picture: { base64: "AAAA", width: 1, height: 1 } };
    const score = async (head: RerankHead, ofHead: number) => {
      const top_probs = [
        { id: 257, token: "yes", prob: 0.6 },
        { id: 258, token: "no", prob: 0.2 },
      ];
      const url = await serve({
        "/health": health,
        "/v1/rerank": results(ofHead, 0.75),
        "/tokenize": ({ content }) => ({ tokens: [content === "yes" ? 257 : 258] }),
        "/props": () => ({ modalities: { vision: true }, media_marker: "<__media_Yo9__>" }),
        "/completion": () => ({ tokens_evaluated: 9, completion_probabilities: [{ id: 257, top_probs }] }),
      });
      const scorer = await openServerScorer({ server: url, reranker: rerankerOf(head), signal: NEVER });
      return scorer.score({ query: "q", documents: ["a", pictured] }).finally(stopServers);
    };
    expect((await score("softmax-in-graph", 0.77)).map((each) => each.score.toFixed(6))).toEqual([
      "0.750000",
      "0.750000",
    ]);
    await expect(score("softmax-in-graph", 0.4)).rejects.toThrow(
      /\/v1\/rerank takes texts only, and m\.gguf has a rank head whose scores its words .* \(0\.35 apart\)/,
    );
    await expect(score("sigmoid", 0.75)).rejects.toThrow(
      /\/v1\/rerank takes texts only, and m\.gguf has a rank head; rank images with a file that has none/,
    );
  });

  it("are never made up: refusals, failures and nonsense are errors", async () => {
    const open = async (answers: Answers, head: RerankHead = "softmax-in-graph") =>
      openServerScorer({
        server: await serve({ "/health": health, ...answers }),
        reranker: rerankerOf(head),
        signal: NEVER,
      });
    const fails = async (answers: Answers, message: RegExp) => {
      const scorer = await open(answers);
      await expect(scorer.score(ASKED)).rejects.toThrow(message);
      stopServers();
    };
    await fails({}, /answers 501: This server does not support reranking/);
    await fails({ "/v1/rerank": results(0.5) }, /did not score every document/);
    await fails({ "/v1/rerank": results(0.5, -1e6) }, /did not score every document/);
    await fails({ "/v1/rerank": () => ({ results: [{ index: 0, relevance_score: null }] }) }, /did not score every/);
    const damaged = await open(
      {
        "/tokenize": () => ({ tokens: [1] }),
        "/completion": () => ({ completion_probabilities: [{ top_probs: [] }] }),
      },
      "yes-no-logits",
    );
    await expect(damaged.score(ASKED)).rejects.toThrow(/no probability of "yes" and "no"/);
    stopServers();
    const refusing = await open(
      {
        "/tokenize": () => ({ tokens: [1] }),
        "/completion": () => ({ error: { code: 400, message: "Failed to load image or audio file" } }),
      },
      "yes-no-logits",
    );
    await expect(refusing.score(ASKED)).rejects.toThrow(/^document 0: llama-server refuses .*: Failed to load image/);
    const reranker = rerankerOf("sigmoid");
    await expect(openServerScorer({ server: "file:///x", reranker, signal: NEVER })).rejects.toThrow(
      /expected an address like/,
    );
    await expect(openServerScorer({ server: "http://127.0.0.1:1", reranker, signal: NEVER })).rejects.toThrow(
      /does not answer/,
    );
  });
});
