/** A model → a server: that ranks, for clients of Cohere, Jina, Voyage, vLLM, TEI and Infinity, or one of embeddings. */
import { basename } from "node:path";
import type { Bench } from "../bench.ts";
import { isEmbedder, poolingOf } from "../embed/embedder.ts";
import { UsageError } from "../errors.ts";
import { fitLayers } from "../evaluate/gpu-layers.ts";
import type { RerankHead } from "../evaluate/rerank-result.ts";
import type { EmbeddingPooling } from "../ggml/model-facts.ts";
import { openLocalModel } from "../gguf/open.ts";
import { withDefaults } from "../present.ts";
import { DEFAULT_RERANK_CONTEXT, type PromptOptions } from "../rerank/rerank-scorer.ts";
import { describeReranker, isReranker } from "../rerank/reranker.ts";
import { serveEmbedding, serveRanking } from "../server/served-model.ts";
import { buildServer } from "../server/server.ts";
import { refuseOptions } from "./given-option.ts";

export interface ServeRequest extends PromptOptions {
  readonly host?: string | undefined;
  /** 0 takes a free one. */
  readonly port?: number | undefined;
  /** Asked of every request as Authorization: Bearer. */
  readonly apiKey?: string | undefined;
  /** Without a key: names under which the server answers beside its own. */
  readonly allowHost?: readonly string[] | undefined;
  /** Requests that may wait; more are told to come back. */
  readonly queue?: number | undefined;
  /** Bytes of the largest request. */
  readonly maxBody?: number | undefined;
  /** Most documents of a request. */
  readonly maxDocuments?: number | undefined;
  /** Longest prompt in tokens. */
  readonly context?: number | undefined;
  /** A llama-server that runs the model and scores: of a causal reranker images too, where it has a projector. */
  readonly server?: string | undefined;
  /** Serve embeddings, pooled like this; by default of models that embed, as they say. */
  readonly pooling?: EmbeddingPooling | undefined;
  /** What is put before a text whose request says that it is a query, or a document. */
  readonly queryPrefix?: string | undefined;
  readonly documentPrefix?: string | undefined;
}

export const SERVE_DEFAULTS = {
  host: "127.0.0.1",
  port: 8012,
  queue: 64,
  maxBody: 16_000_000,
  maxDocuments: 2000,
} as const satisfies ServeRequest;

export interface RunningServer {
  readonly url: string;
  /** Of a reranker. */
  readonly head?: RerankHead;
  /** Of a model that embeds. */
  readonly pooling?: EmbeddingPooling;
  /** Finish what is being scored, refuse the rest, and end. */
  close(): Promise<void>;
}

/** Options that this model, or who scores for it, has no use for. Throws UsageError. */
function checkOptions(asked: ServeRequest, embeds: boolean): void {
  const { context, yes, no, parseSpecial, pairs, mmproj, queryPrefix, documentPrefix, server } = asked;
  const prompts = { "--yes": yes, "--no": no, "--parse-special": parseSpecial, "--pairs": pairs, "--mmproj": mmproj };
  if (embeds) {
    if (server !== undefined) throw new UsageError("--server: a llama-server scores for rerankers only here");
    refuseOptions(prompts, "the model embeds, and scores no documents");
    return;
  }
  const prefixes = { "--query-prefix": queryPrefix, "--document-prefix": documentPrefix };
  refuseOptions(prefixes, "the model ranks, and its prompt is its own");
  if (server === undefined) return;
  refuseOptions({ "--context": context, ...prompts }, "with --server its context and its prompt are used");
}

/** Load the model and listen. Throws FormatError for a model that can neither rank nor embed, UsageError where it can't listen. */
export async function serve(path: string, request: ServeRequest, bench: Bench): Promise<RunningServer> {
  const asked = withDefaults<ServeRequest, typeof SERVE_DEFAULTS>(SERVE_DEFAULTS, request);
  const { host, port, queue, maxBody, maxDocuments, apiKey, allowHost, context } = asked;
  const { pooling, queryPrefix, documentPrefix, yes, no, parseSpecial, pairs, mmproj, server: scoredBy } = asked;
  const file = await openLocalModel(path);
  await file.close();
  const modelName = basename(path).replace(/\.gguf$/, "");
  // Not the bench's signal: an interrupted engine call ends its process, and what is being scored shall be finished.
  const uninterrupted = {
    ...fitLayers(bench, file, { context: context ?? DEFAULT_RERANK_CONTEXT }),
    signal: new AbortController().signal,
  };
  const embeds = pooling !== undefined || (isEmbedder(file) && !isReranker(file.model));
  checkOptions(asked, embeds);
  const reranker = embeds ? undefined : describeReranker(file.model);
  for (const warning of reranker?.warnings ?? []) bench.progress.note(`! ${warning}`);
  const served =
    reranker === undefined
      ? await serveEmbedding(file, { modelName, context, pooling, queryPrefix, documentPrefix }, uninterrupted)
      : await serveRanking(
          file,
          reranker,
          { modelName, server: scoredBy, context, yes, no, parseSpecial, pairs, mmproj },
          uninterrupted,
        );
  const server = buildServer({
    ...served,
    modelName,
    queueLimit: queue,
    bodyLimitBytes: maxBody,
    maxDocuments,
    apiKey,
    host,
    allowedHosts: allowHost,
  });
  const url = await server.listen({ host, port }).catch((error: NodeJS.ErrnoException) => {
    const reason = error.code === "EADDRINUSE" ? "something listens there already" : error.message;
    throw new UsageError(`can't listen on ${host}:${port}: ${reason}; give another --port or --host`, { cause: error });
  });
  const does = reranker === undefined ? { pooling: poolingOf(file, pooling) } : { head: reranker.head };
  return {
    url,
    ...does,
    close: async () => {
      await server.close();
      await served.close();
    },
  };
}
