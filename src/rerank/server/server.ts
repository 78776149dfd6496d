/**
 * The drop-in rerank endpoint: POST /v1/rerank (and /rerank, /v2/rerank), GET /v1/models, GET /health. One request is
 * scored at a time, a bounded number waits, and errors are JSON in the shape of llama-server's.
 */
import { createHash, randomUUID, timingSafeEqual } from "node:crypto";
import fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from "fastify";
import { UsageError } from "../../errors.ts";
import type { RerankScorer } from "../rerank-scorer.ts";
import { BusyError, Queue } from "./queue.ts";
import { parseRerankBody, rerankAnswer } from "./rerank-protocol.ts";

export interface ServeOptions {
  readonly scorer: RerankScorer;
  /** What answers call the model. */
  readonly modelName: string;
  /** Requests that may wait. */
  readonly queueLimit: number;
  readonly bodyLimitBytes: number;
  readonly maxDocuments: number;
  /** Asked for as a bearer token where given. */
  readonly apiKey?: string | undefined;
}

/** Milliseconds a client has to send its request. */
const REQUEST_TIMEOUT_MS = 60_000;
/** A client that went away gets no answer; this is what nginx logs for it. */
const CLIENT_GONE = 499;

const RERANK_PATHS = ["/v1/rerank", "/rerank", "/v2/rerank", "/v1/reranking", "/reranking"];

/** Build the server; its close() finishes what runs and refuses what waits. The scorer stays the caller's to close. */
export function buildServer(options: ServeOptions): FastifyInstance {
  const { scorer, modelName, bodyLimitBytes, apiKey } = options;
  const queue = new Queue(options.queueLimit);
  const server = fastify({
    bodyLimit: bodyLimitBytes,
    requestTimeout: REQUEST_TIMEOUT_MS,
    forceCloseConnections: "idle",
    // a stopping server answers 503 by its queue
    return503OnClosing: true,
  });
  // A web page may send text anywhere without asking; JSON it may not.
  server.removeContentTypeParser("text/plain");
  server.setErrorHandler((error, _request, reply) => sendError(reply, error));
  server.setNotFoundHandler((request, reply) =>
    send(
      reply,
      404,
      "not_found_error",
      `no ${request.method} ${request.url.split("?")[0]} here; POST /v1/rerank ranks`,
    ),
  );
  let closing = false;
  server.addHook("preClose", async () => {
    closing = true;
    queue.close();
  });
  // An answered client would hold a stopping server until its connection is idle long enough.
  server.addHook("onSend", async (_request, reply) => {
    if (closing) reply.header("Connection", "close");
  });
  if (apiKey !== undefined) server.addHook("onRequest", (request, reply) => checkKey(request, reply, apiKey));
  server.get("/health", async () => ({ status: "ok", waiting: queue.waiting }));
  const models = { object: "list", data: [{ id: modelName, object: "model", owned_by: "prism" }] };
  server.get("/v1/models", async () => models);
  const rank = async (request: FastifyRequest, reply: FastifyReply) => {
    const body = parseRerankBody(request.body, options.maxDocuments);
    const gone = watchClient(reply);
    const { query, documents, instruct } = body;
    const work = { query, documents, instruct, signal: gone };
    const scored = await queue.run(() => scorer.score(work), gone);
    return rerankAnswer(body, scored, modelName, randomUUID());
  };
  for (const path of RERANK_PATHS) server.post(path, rank);
  return server;
}

/** Aborts when the client hangs up before it is answered. */
function watchClient(reply: FastifyReply): AbortSignal {
  const controller = new AbortController();
  reply.raw.once("close", () => {
    if (!reply.raw.writableFinished) controller.abort();
  });
  return controller.signal;
}

async function checkKey(request: FastifyRequest, reply: FastifyReply, apiKey: string): Promise<void> {
  if (request.url === "/health") return;
  const [scheme = "", given = ""] = (request.headers.authorization ?? "").split(" ");
  if (scheme.toLowerCase() === "bearer" && timingSafeEqual(digest(given), digest(apiKey))) return;
  await send(reply, 401, "authentication_error", "give the API key as Authorization: Bearer KEY");
}

function digest(text: string): Buffer {
  return createHash("sha256").update(text).digest();
}

/** HTTP statuses of fastify's own refusals, in words of ours. */
const REFUSALS: Readonly<Record<number, string>> = {
  413: "the request is too large; send fewer or shorter documents, or raise --max-body",
  415: "send the request with Content-Type: application/json",
};

function sendError(reply: FastifyReply, error: unknown): FastifyReply {
  if (error instanceof UsageError) return send(reply, 400, "invalid_request_error", error.message);
  if (error instanceof BusyError) {
    reply.header("Retry-After", String(error.retrySeconds));
    const [status, type] = error.closing ? ([503, "unavailable_error"] as const) : ([429, "busy_error"] as const);
    return send(reply, status, type, error.message);
  }
  if ((error as Error).name === "AbortError")
    return send(reply, CLIENT_GONE, "client_gone_error", "the client hung up");
  const { statusCode, message } = error as { statusCode?: number; message: string };
  if (statusCode !== undefined && statusCode >= 400 && statusCode < 500) {
    return send(reply, statusCode, "invalid_request_error", REFUSALS[statusCode] ?? message);
  }
  return send(reply, 500, "server_error", message);
}

function send(reply: FastifyReply, code: number, type: string, message: string): FastifyReply {
  return reply.code(code).send({ error: { code, type, message } });
}
