/** What an Evaluation says of a model that embeds: how far its vectors, and what is found by them, are from the reference's. */
import * as t from "../documents/fields.ts";
import { EMBEDDING_POOLINGS } from "../ggml/model-facts.ts";
import { RERANK_SET } from "./rerank-result.ts";

/** A model against its reference, over the texts of a set. */
export const EMBEDDING_FIDELITY = {
  drift: t.measured(t.number(), "1 − cosine to the reference's vector of the same text, mean over the texts."),
  worstDrift: t.number("Of the text that moved most."),
  overlap10: t.percent(
    "Percent of a query's ten nearest documents that are among the reference's ten, mean over queries.",
  ),
  top1Agreement: t.percent("Percent of queries whose nearest document is the reference's."),
  perText: t.list(t.number(), "Drift of each text, queries before documents: what paired comparisons are made of."),
};
const FIDELITY = t.object(EMBEDDING_FIDELITY);
export interface EmbeddingFidelity extends t.Content<typeof FIDELITY> {}

export const EMBEDDING_RESULT = t.object({
  pooling: t.oneOf(
    EMBEDDING_POOLINGS,
    "How hidden states become the embedding: their mean, that of the first token, or that of the last.",
  ),
  dimensions: t.count(),
  ndcg10: t.optional(
    t.measured(t.amount(), "nDCG@10 over the queries with graded relevance, among the documents of all queries."),
  ),
  fidelity: t.optional(FIDELITY),
  truncated: t.count("Texts that were cut to fit the context."),
  tokens: t.amount("Of all texts."),
});
export interface EmbeddingResult extends t.Content<typeof EMBEDDING_RESULT> {}

export const RETRIEVAL_SET_SUMMARY = t.object({
  ...RERANK_SET,
  documents: t.count("Of all queries together, each once: what every query is searched in."),
  queryPrefix: t.optional(t.prose("Put before every query.")),
  documentPrefix: t.optional(t.prose("Put before every document.")),
});
