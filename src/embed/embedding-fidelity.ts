/** The vectors of a set's texts, and what they find, against the reference's. */
import { drift } from "../evaluate/drift.ts";
import type { EmbeddingFidelity } from "../evaluate/embedding-result.ts";
import type { MeanSe } from "../evaluate/evaluation.ts";
import { meanSe } from "../evaluate/statistics.ts";
import { ndcg, rankOrder } from "../rerank/rank-statistics.ts";
import { cosine } from "./embedder.ts";
import type { RetrievalSet } from "./retrieval-set.ts";

/** Documents that a search shows. */
const DEPTH = 10;

/** In the order of the set's texts. */
export interface Vectors {
  readonly queries: readonly Float32Array[];
  readonly documents: readonly Float32Array[];
}

/** Compare the vectors of the same texts. */
export function compareVectors(own: Vectors, reference: Vectors): EmbeddingFidelity {
  const drifts = (["queries", "documents"] as const).flatMap((kind) =>
    own[kind].map((vector, index) => drift(vector, reference[kind][index] as Float32Array)),
  );
  const [found, expected] = [own, reference].map((vectors) =>
    vectors.queries.map((query) => rankOrder(similarities(query, vectors)).slice(0, DEPTH)),
  ) as [number[][], number[][]];
  const shared = found.map((nearest, query) => {
    const known = new Set(expected[query]);
    return nearest.filter((document) => known.has(document)).length / nearest.length;
  });
  const agreeing = found.filter((nearest, query) => nearest[0] === expected[query]?.[0]).length;
  return {
    drift: meanSe(drifts),
    worstDrift: Math.max(...drifts),
    overlap10: 100 * meanSe(shared).value,
    top1Agreement: (100 * agreeing) / found.length,
    perText: drifts,
  };
}

/** nDCG@10 of the queries that have relevances, among all documents. Undefined where none has. */
export function retrievalGain(vectors: Vectors, { queries }: RetrievalSet): MeanSe | undefined {
  const gains = queries.flatMap(({ relevance }, index) => {
    const query = vectors.queries[index];
    const gain = relevance && query && ndcg(similarities(query, vectors), relevance, DEPTH);
    return gain === undefined ? [] : [gain];
  });
  return gains.length === 0 ? undefined : meanSe(gains);
}

function similarities(query: Float32Array, { documents }: Vectors): number[] {
  return documents.map((document) => cosine(query, document));
}
