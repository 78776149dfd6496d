/** What the models of a run are judged by: a text, the ranking of documents, both, or their embeddings. */
import { isEmbedder, poolingOf } from "../embed/embedder.ts";
import type { Engine } from "../engine/engine.ts";
import { UsageError } from "../errors.ts";
import type { OpenModel } from "../gguf/model.ts";
import { hasRankHead } from "../preflight/rank-head.ts";
import { describeReranker, isReranker } from "../rerank/reranker.ts";
import type { RunRequest } from "./run-request.ts";

export interface Measures {
  /** Perplexity and KL divergence. */
  readonly text: boolean;
  /** Scores of documents. The verdict goes by them where there are any. */
  readonly rerank: boolean;
  /** Vectors of texts, and what they find. */
  readonly embeddings: boolean;
  /** What was asked and says nothing of this model. */
  readonly warnings?: readonly string[];
}

type Request = Pick<RunRequest, "sweep" | "target" | "text" | "chunks" | "rerankSet" | "embedding" | "reading">;

/**
 * A model with a rank head is judged by its ranking alone: its next token, where it still has one, is not what it is for.
 * A causal reranker is judged by both, as is any model where a set of documents is given; one that embeds by that. Throws FormatError for a
 * reranker that can't rank, UsageError for what needs a text.
 */
export function chooseMeasures(open: Pick<OpenModel, "model" | "facts">, engine: Engine, options: Request): Measures {
  const { sweep, target, rerankSet } = options;
  const { model } = open;
  const ranks = !isEmbedder(open) && (isReranker(model) || rerankSet !== undefined);
  if (options.reading !== undefined && !ranks) {
    throw new UsageError(
      `--yes, --no, --parse-special and --pairs are of documents that are scored, and ${model.path} is not judged by any; leave them out`,
    );
  }
  if (isEmbedder(open) || options.embedding !== undefined) return embeddingMeasures(open, engine, options);
  if (!isReranker(model) && rerankSet === undefined) return { text: true, rerank: false, embeddings: false };
  const text = !hasRankHead(model);
  const byKld = target !== undefined || (sweep ?? []).length > 0;
  if (rerankSet !== undefined) requireRanking(byKld, engine);
  // The programs score no documents, and points of a sweep have a KL divergence only: it is what a causal reranker has too.
  if (text && (byKld || engine.programs !== undefined)) return { text: true, rerank: false, embeddings: false };
  describeReranker(model);
  if (byKld) {
    throw new UsageError(
      `${model.path} ranks with a head of its own, and a sweep or a quality to reach is measured by KL divergence; give a budget`,
    );
  }
  const unused = text ? [] : [...named("--text", options.text), ...named("--chunks", options.chunks)];
  if (unused.length === 0) return { text, rerank: true, embeddings: false };
  const warning = `${unused.join(" and ")} not used: ${model.path} ranks with a head of its own and is judged by the scores of documents alone (--rerank)`;
  return { text, rerank: true, embeddings: false, warnings: [warning] };
}

function embeddingMeasures(
  open: Pick<OpenModel, "model" | "facts">,
  { programs }: Engine,
  { sweep = [], target, text, chunks, rerankSet, embedding }: Request,
): Measures {
  const { path } = open.model;
  poolingOf(open, embedding?.pooling);
  if (rerankSet !== undefined)
    throw new UsageError(`--rerank: ${path} embeds, and scores no documents; give --retrieval`);
  if (programs !== undefined) {
    throw new UsageError(`${path} embeds, and llama.cpp's programs can't be asked for vectors; leave --llama-dir out`);
  }
  if (target !== undefined || sweep.length > 0) {
    throw new UsageError(
      `${path} embeds, and a sweep or a quality to reach is measured by KL divergence; give a budget, and --require "drift<=0.001"`,
    );
  }
  const unused = [...named("--text", text), ...named("--chunks", chunks)];
  const warning = `${unused.join(" and ")} not used: ${path} embeds and is judged by its vectors (--retrieval)`;
  return { text: false, rerank: false, embeddings: true, ...(unused.length === 0 ? {} : { warnings: [warning] }) };
}

function requireRanking(byKld: boolean, { programs }: Engine): void {
  if (byKld) {
    throw new UsageError(
      "--rerank: a sweep or a quality to reach is measured by KL divergence; give a budget, or leave --rerank out",
    );
  }
  if (programs !== undefined) {
    throw new UsageError("--rerank: llama.cpp's programs score no documents; leave --llama-dir or --rerank out");
  }
}

function named(option: string, value: unknown): string[] {
  return value === undefined ? [] : [option];
}
