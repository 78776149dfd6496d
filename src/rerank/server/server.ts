/**
 * The drop-in rerank endpoint: POST /v1/rerank (and /rerank, /v2/rerank), GET /v1/models, GET /health. One request is
 * scored at a time, a bounded number waits, and errors are JSON in the shape of llama-server's.
 */
import { createHash, randomUUID, timingSafeEqual } from "node:crypto";
import { type Context, Hono } from "hono";
import { bodyLimit } from "hono/body-limit";
import type { ContentfulStatusCode } from "hono/utils/http-status";
import { UsageError } from "../../errors.ts";
import { type LocalServer, localServer, type NodeBindings, saysJson } from "../../local-server.ts";
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

type App = { Bindings: NodeBindings };

/** Build the server; its close() finishes what runs and refuses what waits. The scorer stays the caller's to close. */
export function buildServer(options: ServeOptions): LocalServer {
  const { scorer, modelName, apiKey } = options;
  const queue = new Queue(options.queueLimit);
  const app = new Hono<App>();
  app.onError((error, context) => sendError(context, error));
  app.notFound((context) => {
    const { method, path } = context.req;
    return send(context, 404, "not_found_error", `no ${method} ${path} here; POST /v1/rerank ranks`);
  });
  if (apiKey !== undefined) {
    app.use(async (context, next) => {
      if (context.req.path === "/health" || hasKey(context, apiKey)) return next();
      return send(context, 401, "authentication_error", "give the API key as Authorization: Bearer KEY");
    });
  }
  app.get("/health", (context) => context.json({ status: "ok", waiting: queue.waiting }));
  const models = { object: "list", data: [{ id: modelName, object: "model", owned_by: "prism" }] };
  app.get("/v1/models", (context) => context.json(models));
  const limit = bodyLimit({ maxSize: options.bodyLimitBytes, onError: (context) => send(context, 413, ...TOO_LARGE) });
  for (const path of RERANK_PATHS) {
    app.post(path, limit, async (context) => {
      const body = parseRerankBody(await readJson(context), options.maxDocuments);
      const gone = watchClient(context.env.outgoing);
      const { query, documents, instruct } = body;
      const scored = await queue.run(() => scorer.score({ query, documents, instruct, signal: gone }), gone);
      return context.json(rerankAnswer(body, scored, modelName, randomUUID()));
    });
  }
  const server = localServer(app, { requestTimeoutMs: REQUEST_TIMEOUT_MS });
  return {
    ...server,
    close: () => {
      queue.close();
      return server.close();
    },
  };
}

/** Aborts when the client hangs up before it is answered. */
function watchClient(outgoing: NodeBindings["outgoing"]): AbortSignal {
  const controller = new AbortController();
  const left = () => {
    if (!outgoing.writableFinished) controller.abort();
  };
  if (outgoing.destroyed) left();
  else outgoing.once("close", left);
  return controller.signal;
}

function hasKey(context: Context<App>, apiKey: string): boolean {
  const [scheme = "", given = ""] = (context.req.header("authorization") ?? "").split(" ");
  return scheme.toLowerCase() === "bearer" && timingSafeEqual(digest(given), digest(apiKey));
}

function digest(text: string): Buffer {
  return createHash("sha256").update(text).digest();
}

const TOO_LARGE = [
  "invalid_request_error",
  "the request is too large; send fewer or shorter documents, or raise --max-body",
] as const;

/** A request of another type than JSON. */
class MediaTypeError extends UsageError {}

/** The body's value. Throws MediaTypeError or UsageError. */
async function readJson(context: Context<App>): Promise<unknown> {
  if (!saysJson(context.req.header("content-type"))) {
    throw new MediaTypeError("send the request with Content-Type: application/json");
  }
  const text = await context.req.text();
  if (text === "") throw new UsageError("the body is empty; send a JSON object");
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new UsageError(`the body is not valid JSON (${(error as Error).message})`, { cause: error });
  }
}

function sendError(context: Context<App>, error: Error): Response {
  if (error instanceof MediaTypeError) return send(context, 415, "invalid_request_error", error.message);
  if (error instanceof UsageError) return send(context, 400, "invalid_request_error", error.message);
  if (error instanceof BusyError) {
    context.header("Retry-After", String(error.retrySeconds));
    const [status, type] = error.closing ? ([503, "unavailable_error"] as const) : ([429, "busy_error"] as const);
    return send(context, status, type, error.message);
  }
  if (error.name === "AbortError") return send(context, CLIENT_GONE, "client_gone_error", "the client hung up");
  return send(context, 500, "server_error", error.message);
}

function send(context: Context<App>, code: number, type: string, message: string): Response {
  return context.json({ error: { code, type, message } }, code as ContentfulStatusCode);
}
