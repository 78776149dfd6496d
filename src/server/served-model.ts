/** A model loaded to be served: what it answers, for as long as its file is the one that was opened. */
import type { Bench } from "../bench.ts";
import { type EmbedderOptions, openEmbedder } from "../embed/embedder.ts";
import { FormatError } from "../errors.ts";
import type { OpenModel } from "../gguf/model.ts";
import { openServerScorer } from "../rerank/llama-server.ts";
import { openRerankScorer, type PromptOptions } from "../rerank/rerank-scorer.ts";
import type { Reranker } from "../rerank/reranker.ts";
import { type EmbeddingPrefixes, embeddingEndpoints } from "./embedding-endpoints.ts";
import { openLasting } from "./lasting.ts";
import { openLastingScorer } from "./lasting-scorer.ts";
import { RANK_MODEL_TYPE, rankEndpoints } from "./rank-endpoints.ts";
import type { ServeOptions } from "./server.ts";

export interface ServedModel extends Pick<ServeOptions, "endpoints" | "modelType" | "contextTokens"> {
  close(): Promise<void>;
}

interface Asked {
  readonly modelName: string;
  /** Longest prompt in tokens. */
  readonly context?: number | undefined;
}

export async function serveRanking(
  file: OpenModel,
  reranker: Reranker,
  { modelName, server, ...options }: Asked & PromptOptions & { readonly server?: string | undefined },
  bench: Bench,
): Promise<ServedModel> {
  const scorer = await openLastingScorer(() =>
    server === undefined
      ? unchanged(file, () => openRerankScorer(reranker, options, bench))
      : openServerScorer({ server, reranker, signal: bench.signal }),
  );
  // A model whose scores are no numbers is refused before anybody asks.
  await scorer.score({ query: "Does it rank?", documents: ["It ranks.", "It doesn't."] });
  return {
    endpoints: (limits) => rankEndpoints(scorer, modelName, limits),
    modelType: RANK_MODEL_TYPE,
    contextTokens: scorer.contextTokens,
    close: () => scorer.close(),
  };
}

export async function serveEmbedding(
  file: OpenModel,
  { modelName, queryPrefix, documentPrefix, ...options }: Asked & EmbedderOptions & EmbeddingPrefixes,
  bench: Bench,
): Promise<ServedModel> {
  const { first, use, close } = await openLasting(() => unchanged(file, () => openEmbedder(file, options, bench)));
  const embed: typeof first.embed = (texts, signal) => use((embedder) => embedder.embed(texts, signal), signal);
  await embed(["Does it embed?"]);
  const { pooling, contextTokens } = first;
  return {
    endpoints: (limits) => embeddingEndpoints({ embed }, modelName, { queryPrefix, documentPrefix }, limits),
    modelType: { embedding: { pooling } },
    contextTokens,
    close,
  };
}

/** Opened anew after a crash it must be the model that was described, and that answers were given with. */
async function unchanged<Opened extends { close(): Promise<void> }>(
  file: OpenModel,
  open: () => Promise<Opened>,
): Promise<Opened> {
  const opened = await open();
  const change = await file.change();
  if (!change?.isCertain) return opened;
  await opened.close();
  throw new FormatError(change.path, `${change.words} since the server opened it; start the server again`);
}
