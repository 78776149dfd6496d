/**
 * The same scores from a running llama-server: /v1/rerank for a rank head, /completion with every sampler off for a
 * causal reranker (as the publishers of causal rerankers do it). llama-server reports the first output of a rank head
 * as it is: a softmax's share for qwen3 and qwen3vl, a raw logit for the others.
 */
import { EngineError, UsageError } from "../errors.ts";
import { isOfTexts } from "./rank-content.ts";
import { scoreOutputs } from "./rerank-head.ts";
import type { Lengths, RerankScorer, ScoredDocument } from "./rerank-scorer.ts";
import type { Reranker } from "./reranker.ts";
import { type Ask, completionScores, type Score } from "./server-completion.ts";
import { askServer, field, numberField } from "./server-request.ts";

/** llama-server's score of a prompt it could not pool. */
const NOT_SCORED = -1e6;

export interface LlamaServerOptions {
  /** Like http://127.0.0.1:8080. */
  readonly server: string;
  readonly reranker: Reranker;
  readonly signal: AbortSignal;
  /** Let it keep the beginning of a causal prompt for the next: faster, but decoded in other batches, which add up otherwise. */
  readonly cachePrompt?: boolean | undefined;
}

/** Throws UsageError for an address that is none, EngineError (missing) where no llama-server answers. */
export async function openServerScorer({
  server,
  reranker,
  signal,
  cachePrompt = false,
}: LlamaServerOptions): Promise<RerankScorer> {
  const base = parseServer(server);
  const ask: Ask = (path, body, gone) =>
    askServer(`${base}${path}`, body, gone === undefined ? signal : AbortSignal.any([signal, gone]));
  await ask("/health");
  const score =
    reranker.head === "yes-no-logits" ? await completionScores(ask, reranker, cachePrompt) : rankScores(ask, reranker);
  return {
    reranker,
    scoredBy: base,
    score: async (request) => {
      checkLengths(request);
      return score(request);
    },
    close: () => Promise.resolve(),
  };
}

function checkLengths({ documentTokens, promptTokens }: Lengths): void {
  if (documentTokens === undefined && promptTokens === undefined) return;
  throw new UsageError(
    "a llama-server reads documents whole; leave out what bounds their tokens, or cut them yourself",
  );
}

function parseServer(server: string): string {
  const url = URL.canParse(server) ? new URL(server) : undefined;
  if (url === undefined || !/^https?:$/.test(url.protocol)) {
    throw new UsageError(`--server: expected an address like http://127.0.0.1:8080, got "${server}"`);
  }
  return `${url.origin}${url.pathname.replace(/\/+$/, "")}`;
}

function rankScores(ask: Ask, reranker: Reranker): Score {
  if (reranker.head === "softmax") {
    throw new EngineError(
      `${reranker.path} has a head of two raw logits, of which llama-server reports one; score it without --server`,
    );
  }
  let seeing: Promise<Score> | undefined;
  const score: Score = async (request) => {
    if (!isOfTexts(request)) {
      seeing ??= wordScores(ask, reranker, score);
      return (await seeing)(request);
    }
    const { query, documents, instruct, signal } = request;
    if (instruct !== undefined) {
      throw new UsageError(
        "llama-server's /v1/rerank takes no instruction; score without --server, or leave instruct out of the set",
      );
    }
    const reply = await ask("/v1/rerank", { query, documents }, signal);
    const results = field(reply, "results");
    const values = new Array<number>(documents.length).fill(Number.NaN);
    for (const result of Array.isArray(results) ? results : []) {
      const index = numberField(result, "index");
      if (index in values) values[index] = numberField(result, "relevance_score");
    }
    if (values.some((value) => !Number.isFinite(value) || value === NOT_SCORED)) {
      throw new EngineError(`llama-server did not score every document with ${reranker.path}; see its log`);
    }
    return values.map((value) => scored(reranker, value));
  };
  return score;
}

/** Texts that a head and the words "yes" and "no" must agree on. */
const PROOF = { query: "capital of France?", documents: ["Paris is the capital of France.", "Bananas are yellow."] };
/** A head that is kept at other bits than the embedding it was taken from moves scores by less. */
const SAME_HEAD = 0.05;

/**
 * Scores of a rank head's file by its words. /v1/rerank takes texts only, but the rows of a yes/no head are two of the
 * language model's, and where the file still has that, as one with a tied embedding does, /completion gives the same.
 * Throws UsageError where it doesn't.
 */
async function wordScores(ask: Ask, reranker: Reranker, byHead: Score): Promise<Score> {
  const { path, head } = reranker;
  const only = `llama-server's /v1/rerank takes texts only, and ${path} has a rank head`;
  const remedy = `rank images with a file that has none, converted as a language model that answers "yes" or "no"`;
  if (head !== "softmax-in-graph") throw new UsageError(`${only}; ${remedy}`);
  const byWords = await completionScores(ask, { ...reranker, head: "yes-no-logits", relevant: 0 });
  const [known, found] = [await byHead(PROOF), await byWords(PROOF)];
  const apart = Math.max(...known.map(({ score }, index) => Math.abs(score - (found[index]?.score ?? 0))));
  if (apart <= SAME_HEAD) return byWords;
  throw new UsageError(
    `${only} whose scores its words "yes" and "no" do not give (${apart.toPrecision(2)} apart): the language model's head was left out of it; ${remedy}`,
  );
}

function scored(reranker: Reranker, value: number): ScoredDocument {
  const { path, head, relevant } = reranker;
  // What is reported is the first output, which need not be the relevant one.
  const outputs = head.startsWith("sigmoid") ? [value] : [value, 1 - value];
  return { ...scoreOutputs(path, head, outputs, relevant), truncated: false };
}
