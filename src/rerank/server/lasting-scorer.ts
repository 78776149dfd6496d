/** A scorer that is opened again after its engine failed or its process ended: one bad request must not end a server. */
import { EngineError } from "../../errors.ts";
import type { RerankScorer } from "../rerank-scorer.ts";

/** Open a scorer, and open it anew for the next request after an EngineError. */
export async function openLastingScorer(open: () => Promise<RerankScorer>): Promise<RerankScorer> {
  const first = await open();
  let current: RerankScorer | undefined = first;
  return {
    reranker: first.reranker,
    scoredBy: first.scoredBy,
    async score(request) {
      current ??= await open();
      try {
        return await current.score(request);
      } catch (error) {
        if (error instanceof EngineError) {
          const failed = current;
          current = undefined;
          // where the process lives on, its model must not stay beside the next one; what counts is the first error
          await failed.close().catch(() => undefined);
        }
        throw error;
      }
    },
    close: async () => current?.close(),
  };
}
