/** A reranker → a server that ranks: /v1/rerank in the shape of Cohere's, Jina's and Voyage's. */
import { basename } from "node:path";
import type { Bench } from "../bench.ts";
import { FormatError, UsageError } from "../errors.ts";
import { fitLayers } from "../evaluate/gpu-layers.ts";
import type { RerankHead } from "../evaluate/rerank-result.ts";
import { openLocalModel } from "../gguf/open.ts";
import { withDefaults } from "../present.ts";
import { DEFAULT_RERANK_CONTEXT, openRerankScorer } from "../rerank/rerank-scorer.ts";
import { describeReranker } from "../rerank/reranker.ts";
import { openLastingScorer } from "../server/lasting-scorer.ts";
import { buildServer } from "../server/server.ts";

export interface ServeRequest {
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
  readonly head: RerankHead;
  /** Finish what is being scored, refuse the rest, and end. */
  close(): Promise<void>;
}

/** Load the model and listen. Throws FormatError for a model that can't rank, UsageError where it can't listen. */
export async function serve(path: string, request: ServeRequest, bench: Bench): Promise<RunningServer> {
  const { host, port, queue, maxBody, maxDocuments, apiKey, allowHost, context } = withDefaults<
    ServeRequest,
    typeof SERVE_DEFAULTS
  >(SERVE_DEFAULTS, request);
  const file = await openLocalModel(path);
  await file.close();
  const reranker = describeReranker(file.model);
  for (const warning of reranker.warnings) bench.progress.note(`! ${warning}`);
  // Not the bench's signal: an interrupted engine call ends its process, and what is being scored shall be finished.
  const uninterrupted = {
    ...fitLayers(bench, file, { context: context ?? DEFAULT_RERANK_CONTEXT }),
    signal: new AbortController().signal,
  };
  const scorer = await openLastingScorer(async () => {
    const opened = await openRerankScorer(reranker, { context }, uninterrupted);
    // Opened anew after a crash it must be the model that was described, and that answers were given with.
    const change = await file.change();
    if (!change?.isCertain) return opened;
    await opened.close();
    throw new FormatError(change.path, `${change.words} since the server opened it; start the server again`);
  });
  // A model whose scores are no numbers is refused before anybody asks.
  await scorer.score({ query: "Does it rank?", documents: ["It ranks.", "It doesn't."] });
  const server = buildServer({
    scorer,
    modelName: basename(path).replace(/\.gguf$/, ""),
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
  return { url, head: reranker.head, close: async () => void (await server.close()) };
}
