/** What an Evaluation says of a reranker: its scores document by document, and how far they are from the reference's. */
import {
  amount,
  type Content,
  count,
  list,
  measured,
  name,
  number,
  object,
  oneOf,
  optional,
  percent,
  prose,
  text,
} from "../documents/fields.ts";

const RERANK_HEAD = oneOf(
  ["yes-no-logits", "softmax-in-graph", "softmax", "sigmoid", "sigmoid-of-tanh"],
  'What turns the outputs of a model into a score from 0 to 1, applied exactly once. yes-no-logits: of a causal language model, softmax over the logits of "yes" and "no" at the next position; softmax-in-graph: a rank head whose softmax llama.cpp computes (qwen3, qwen3vl); softmax: of several raw logits; sigmoid: of one; sigmoid-of-tanh: of one of which llama.cpp gives tanh (jina-bert-v2), that undone.',
);
export type RerankHead = Content<typeof RERANK_HEAD>;

const DOCUMENT_SCORE = object({
  score: number("0 to 1, unless the result is flagged."),
  logit: optional(
    number("ln(p / (1 − p)) of the score, before the sigmoid or softmax. Absent where llama.cpp took the softmax."),
  ),
});
export interface DocumentScore extends Content<typeof DOCUMENT_SCORE> {}

const RERANK_FLAG = object({
  code: oneOf(["mushed", "inverted", "out-of-range"]),
  message: prose(),
  remedy: prose(),
});
export interface RerankFlag extends Content<typeof RERANK_FLAG> {}

/** A model against its reference, over the queries of a set. */
export const FIDELITY = {
  meanAbsDelta: measured(
    amount(),
    "Mean |Δscore| of a query's documents, over queries, with the standard error between queries.",
  ),
  maxAbsDelta: amount(),
  kendallTau: optional(measured(number(), "Kendall's τ-b of the two orders, over the queries where both have one.")),
  top1Agreement: percent("Percent of queries whose best document is the reference's."),
  moved: count("Documents that changed their place, of all."),
  perQuery: list(amount(), {
    description: "Mean |Δscore| per query: what paired comparisons between models are made of.",
  }),
};
const RERANK_FIDELITY = object(FIDELITY);
export interface RerankFidelity extends Content<typeof RERANK_FIDELITY> {}

export const RERANK_RESULT = object({
  head: RERANK_HEAD,
  scoredBy: prose('"embedded", or the address of the llama-server that was asked.'),
  scores: list(list(DOCUMENT_SCORE), {
    description: "Per query, one entry per document in the order of the set.",
  }),
  spread: amount("Mean over queries of the largest minus the smallest score."),
  ndcg10: optional(measured(amount(), "nDCG@10 over the queries with graded relevance.")),
  fidelity: optional(RERANK_FIDELITY),
  flags: list(RERANK_FLAG),
  truncated: count("Documents that were cut to fit the context."),
  tokens: optional(amount("Of all prompts. Absent where a server did not count them.")),
});
export interface RerankResult extends Content<typeof RERANK_RESULT> {}

export const RERANK_SET_SUMMARY = object({
  source: oneOf(["file", "default"]),
  path: optional(name()),
  sha256: text(),
  queries: list(object({ query: prose(), documents: list(prose()) }), {
    description: "The beginning of every text: enough to know it by.",
  }),
});
export interface RerankSetSummary extends Content<typeof RERANK_SET_SUMMARY> {}
