/** A scorer that is opened again after its engine failed. */
import type { RerankScorer } from "../rerank/rerank-scorer.ts";
import { openLasting } from "./lasting.ts";

export async function openLastingScorer(open: () => Promise<RerankScorer>): Promise<RerankScorer> {
  const { first, use, close } = await openLasting(open);
  const { reranker, scoredBy, contextTokens } = first;
  return {
    reranker,
    scoredBy,
    contextTokens,
    score: (request) => use((scorer) => scorer.score(request), request.signal),
    close,
  };
}
