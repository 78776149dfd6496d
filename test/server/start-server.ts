/** A server whose scorer stands in for an engine. */
import type { LocalServer } from "../../src/local-server.ts";
import { labelOf, type RankContent } from "../../src/rerank/rank-content.ts";
import type { RerankRequest, RerankScorer } from "../../src/rerank/rerank-scorer.ts";
import { RANK_MODEL_TYPE, rankEndpoints } from "../../src/server/rank-endpoints.ts";
import { buildServer, type ServeOptions } from "../../src/server/server.ts";

let server: LocalServer | undefined;

export async function stop(): Promise<void> {
  await server?.close();
}

const RERANKER = { path: "m.gguf", head: "sigmoid", relevant: 0, outputs: 1, vocabSize: 10, warnings: [] } as const;

/** Scores by length; `before` is awaited first. */
export function scorerOf(before: (request: RerankRequest<RankContent>) => Promise<void> = () => Promise.resolve()) {
  const seen: RerankRequest<RankContent>[] = [];
  const scorer: RerankScorer = {
    reranker: RERANKER,
    scoredBy: "embedded",
    async score(request) {
      seen.push(request);
      await before(request);
      return request.documents
        .map(labelOf)
        .map((text) => ({ score: text.length / 100, tokens: 5, truncated: text === "long" }));
    },
    close: () => Promise.resolve(),
  };
  return { scorer, seen };
}

/** With a scorer in the place of the endpoints. */
export async function start({
  scorer,
  ...options
}: Partial<ServeOptions> & { readonly scorer: RerankScorer }): Promise<string> {
  const modelName = options.modelName ?? "m";
  server = buildServer({
    endpoints: (limits) => rankEndpoints(scorer, modelName, limits),
    modelType: RANK_MODEL_TYPE,
    contextTokens: scorer.contextTokens,
    modelName: "m",
    queueLimit: 200,
    bodyLimitBytes: 10_000,
    maxDocuments: 50,
    ...options,
  });
  return server.listen({ host: "127.0.0.1", port: 0 });
}

export const post = (url: string, body: unknown, headers: Record<string, string> = {}) =>
  fetch(url, {
    method: "POST",
    headers: { "Content-Type": "application/json", ...headers },
    body: typeof body === "string" ? body : JSON.stringify(body),
  });
