/** A scorer that is opened again after its engine failed or its process ended: one bad request must not end a server. */
import { EngineError } from "../errors.ts";
import type { RerankRequest, RerankScorer, ScoredDocument } from "../rerank/rerank-scorer.ts";

/** Open a scorer, and open it anew for the next request after its engine failed. */
export async function openLastingScorer(open: () => Promise<RerankScorer>): Promise<RerankScorer> {
  const first = await open();
  let current: RerankScorer | undefined = first;
  const attempt = async (request: RerankRequest, again: boolean): Promise<ScoredDocument[]> => {
    current ??= await open();
    const scorer = current;
    try {
      return await scorer.score(request);
    } catch (error) {
      // while this request waited for its turn, another's failure can have ended what it was scored with
      const lost = current !== scorer;
      // a file that was changed under the engine is an error of its own
      const failed = error instanceof EngineError || (error as Error).cause instanceof EngineError;
      if (failed && !lost) {
        current = undefined;
        // where the process lives on, its model must not stay beside the next one; what counts is the first error
        await scorer.close().catch(() => undefined);
      }
      // It may have ended before this request, which is then no fault of it; one that ends two processes is refused.
      if (!again || !(error instanceof EngineError) || (error.ended === undefined && !lost)) throw error;
      request.signal?.throwIfAborted();
      return attempt(request, false);
    }
  };
  return {
    reranker: first.reranker,
    scoredBy: first.scoredBy,
    contextTokens: first.contextTokens,
    score: (request) => attempt(request, true),
    close: async () => current?.close(),
  };
}
