/** What the models of a run are judged by: a text, the ranking of documents, or both. */
import type { EngineInfo } from "../engine/engine.ts";
import { UsageError } from "../errors.ts";
import { describeReranker, hasRankHead, isReranker } from "../evaluate/reranker.ts";
import type { Model } from "../gguf/model.ts";
import type { RunOptions } from "./run-options.ts";

export interface Measures {
  /** Perplexity and KL divergence. */
  readonly text: boolean;
  /** Scores of documents. The verdict goes by them where there are any. */
  readonly rerank: boolean;
}

/**
 * A model with a rank head is judged by its ranking alone: its next token, where it still has one, is not what it is for.
 * A causal reranker is judged by both. Throws FormatError for a reranker that can't rank, UsageError for what needs a text.
 */
export function chooseMeasures(model: Model, info: EngineInfo, { sweep, target }: RunOptions): Measures {
  if (!isReranker(model)) return { text: true, rerank: false };
  const text = !hasRankHead(model);
  const byKld = target !== undefined || (sweep ?? []).length > 0;
  // The programs score no documents, and points of a sweep have a KL divergence only: it is what a causal reranker has too.
  if (text && (byKld || info.kind === "programs")) return { text: true, rerank: false };
  describeReranker(model);
  if (byKld) {
    throw new UsageError(
      `${model.path} ranks with a head of its own, and a sweep or a quality to reach is measured by KL divergence; give a budget`,
    );
  }
  return { text, rerank: true };
}
