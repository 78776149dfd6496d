/** The part of prism evaluate that ranks documents: alone, or beside a text. */
import type { Engine } from "../engine/engine.ts";
import type { RerankEvaluation } from "../evaluate/evaluation.ts";
import { evaluateRerank } from "../rerank/rerank.ts";
import type { EvaluationCliOptions } from "./evaluation-options.ts";

export interface RankCliOptions extends Pick<EvaluationCliOptions, "gpuLayers" | "context"> {
  /** true: the set that comes with prism. */
  readonly rerank?: string | true;
  readonly server?: string;
  readonly reference?: string;
  readonly threads: number;
}

/** Rank the documents of --rerank with all models. */
export function rankModels(
  engine: Engine,
  models: readonly string[],
  options: RankCliOptions,
  signal: AbortSignal,
  onProgress: (what: string, done: number, total: number) => void,
): Promise<RerankEvaluation> {
  const { rerank, server, reference, context, threads, gpuLayers } = options;
  return evaluateRerank({
    engine,
    models,
    ...(typeof rerank === "string" ? { set: rerank } : {}),
    ...(reference === undefined ? {} : { reference }),
    ...(server === undefined ? {} : { server }),
    ...(context === undefined ? {} : { context }),
    threads,
    gpuLayers,
    signal,
    onProgress,
  });
}
