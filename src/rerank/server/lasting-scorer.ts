/** A scorer that is opened again after its engine failed or its process ended: one bad request must not end a server. */
import { EngineError } from "../../errors.ts";
import type { RerankRequest, RerankScorer, ScoredDocument } from "../rerank-scorer.ts";

/** Open a scorer, and open it anew for the next request after its engine failed. */
export async function openLastingScorer(open: () => Promise<RerankScorer>): Promise<RerankScorer> {
  const first = await open();
  let current: RerankScorer | undefined = first;
  const attempt = async (request: RerankRequest): Promise<ScoredDocument[]> => {
    current ??= await open();
    const scorer = current;
    try {
      return await scorer.score(request);
    } catch (error) {
      // a file that was changed under the engine is an error of its own
      if (error instanceof EngineError || (error as Error).cause instanceof EngineError) {
        current = undefined;
        // where the process lives on, its model must not stay beside the next one; what counts is the first error
        await scorer.close().catch(() => undefined);
      }
      throw error;
    }
  };
  return {
    reranker: first.reranker,
    scoredBy: first.scoredBy,
    async score(request) {
      try {
        return await attempt(request);
      } catch (error) {
        // It may have ended before this request, which is then no fault of it; one that ends two processes is refused.
        if (!(error instanceof EngineError) || error.ended === undefined) throw error;
        request.signal?.throwIfAborted();
        return attempt(request);
      }
    },
    close: async () => current?.close(),
  };
}
