/** What an Evaluation says of a reranker: its scores document by document, and how far they are from the reference's. */
import type { MeanSe } from "./evaluation.ts";

/** What turns the outputs of a model into a score from 0 to 1, applied exactly once. */
export type RerankHead =
  /** Causal language model: softmax over the logits of "yes" and "no" at the next position. */
  | "yes-no-logits"
  /** Rank head whose softmax llama.cpp computes in its graph (qwen3, qwen3vl). */
  | "softmax-in-graph"
  /** Rank head of several raw logits: softmax here. */
  | "softmax"
  /** Rank head of one raw logit: sigmoid here. */
  | "sigmoid"
  /** Rank head of one logit of which llama.cpp gives tanh (jina-bert-v2): that undone, and sigmoid here. */
  | "sigmoid-of-tanh";

export interface DocumentScore {
  /** 0 to 1, unless the result is flagged. */
  readonly score: number;
  /** ln(p / (1 − p)) of the score, before the sigmoid or softmax. Absent where llama.cpp took the softmax. */
  readonly logit?: number;
}

export interface RerankFlag {
  readonly code: "mushed" | "inverted" | "out-of-range";
  readonly message: string;
  readonly remedy: string;
}

/** A model against its reference, over the queries of a set. */
export interface RerankFidelity {
  /** Mean |Δscore| of a query's documents, over queries, with the standard error between queries. */
  readonly meanAbsDelta: MeanSe;
  readonly maxAbsDelta: number;
  /** Kendall's τ-b of the two orders, over the queries where both have one. */
  readonly kendallTau?: MeanSe;
  /** Percent of queries whose best document is the reference's. */
  readonly top1Agreement: number;
  /** Documents that changed their place, of all. */
  readonly moved: number;
  /** Mean |Δscore| per query: what paired comparisons between models are made of. */
  readonly perQuery: readonly number[];
}

export interface RerankResult {
  readonly head: RerankHead;
  /** "embedded", or the address of the llama-server that was asked. */
  readonly scoredBy: string;
  /** Per query, one entry per document in the order of the set. */
  readonly scores: readonly (readonly DocumentScore[])[];
  /** Mean over queries of the largest minus the smallest score. */
  readonly spread: number;
  /** nDCG@10 over the queries with graded relevance. */
  readonly ndcg10?: MeanSe;
  readonly fidelity?: RerankFidelity;
  readonly flags: readonly RerankFlag[];
  /** Documents that were cut to fit the context. */
  readonly truncated: number;
  /** Of all prompts. Absent where a server did not count them. */
  readonly tokens?: number;
}

export interface RerankSetSummary {
  readonly source: "file" | "default";
  readonly path?: string;
  readonly sha256: string;
  /** The beginning of every text: enough to know it by. */
  readonly queries: readonly { readonly query: string; readonly documents: readonly string[] }[];
}
