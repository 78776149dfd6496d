/** What an Evaluation says of a reranker: its scores document by document, and how far they are from the reference's. */
import * as t from "../documents/fields.ts";

const RERANK_HEAD = t.oneOf(
  ["yes-no-logits", "softmax-in-graph", "softmax", "sigmoid", "sigmoid-of-tanh"],
  'What turns the outputs of a model into a score from 0 to 1, applied exactly once. yes-no-logits: of a causal language model, softmax over the logits of "yes" and "no" at the next position; softmax-in-graph: a rank head whose softmax llama.cpp computes (qwen3, qwen3vl); softmax: of several raw logits; sigmoid: of one; sigmoid-of-tanh: of one of which llama.cpp gives tanh (jina-bert-v2), that undone.',
);
export type RerankHead = t.Content<typeof RERANK_HEAD>;

const DOCUMENT_SCORE = t.object({
  score: t.number("0 to 1, unless the result is flagged."),
  logit: t.optional(
    t.number("ln(p / (1 − p)) of the score, before the sigmoid or softmax. Absent where llama.cpp took the softmax."),
  ),
});
export interface DocumentScore extends t.Content<typeof DOCUMENT_SCORE> {}

const RERANK_FLAG = t.object({
  code: t.oneOf(["mushed", "inverted", "out-of-range"]),
  message: t.prose(),
  remedy: t.prose(),
});
export interface RerankFlag extends t.Content<typeof RERANK_FLAG> {}

/** A model against its reference, over the queries of a set. */
export const FIDELITY = {
  meanAbsDelta: t.measured(
    t.amount(),
    "Mean |Δscore| of a query's documents, over queries, with the standard error between queries.",
  ),
  maxAbsDelta: t.amount(),
  kendallTau: t.optional(
    t.measured(t.number(), "Kendall's τ-b of the two orders, over the queries where both have one."),
  ),
  top1Agreement: t.percent("Percent of queries whose best document is the reference's."),
  moved: t.count("Documents that changed their place, of all."),
  perQuery: t.list(t.amount(), "Mean |Δscore| per query: what paired comparisons between models are made of."),
};
const RERANK_FIDELITY = t.object(FIDELITY);
export interface RerankFidelity extends t.Content<typeof RERANK_FIDELITY> {}

export const RERANK_RESULT = t.object({
  head: RERANK_HEAD,
  scoredBy: t.prose('"embedded", or the address of the llama-server that was asked.'),
  scores: t.list(t.list(DOCUMENT_SCORE), "Per query, one entry per document in the order of the set."),
  spread: t.amount("Mean over queries of the largest minus the smallest score."),
  ndcg10: t.optional(t.measured(t.amount(), "nDCG@10 over the queries with graded relevance.")),
  fidelity: t.optional(RERANK_FIDELITY),
  flags: t.list(RERANK_FLAG),
  truncated: t.count("Documents that were cut to fit the context."),
  tokens: t.optional(t.amount("Of all prompts. Absent where a server did not count them.")),
});
export interface RerankResult extends t.Content<typeof RERANK_RESULT> {}

export const RERANK_SET = {
  source: t.oneOf(["file", "default"]),
  path: t.optional(t.name()),
  sha256: t.text(),
  queries: t.list(
    t.object({ query: t.prose(), documents: t.list(t.prose()) }),
    "The beginning of every text: enough to know it by.",
  ),
};
export const RERANK_SET_SUMMARY = t.object(RERANK_SET);
export interface RerankSetSummary extends t.Content<typeof RERANK_SET_SUMMARY> {}
