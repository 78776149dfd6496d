/**
 * The drop-in rerank endpoint: POST /v1/rerank (and /rerank, /v2/rerank), GET /v1/models, GET /health. One request is
 * scored at a time, a bounded number waits, and errors are JSON in the shape of llama-server's.
 */
import { createHash, randomUUID, timingSafeEqual } from "node:crypto";
import { type Context, Hono, type MiddlewareHandler } from "hono";
import { cors } from "hono/cors";
import type { ContentfulStatusCode } from "hono/utils/http-status";
import { findRepeated } from "../../documents/parse-json.ts";
import { UsageError } from "../../errors.ts";
import {
  type ConnectionLimits,
  type LocalServer,
  localServer,
  type NodeBindings,
  whenOver,
} from "../../local-server.ts";
import { printable } from "../../plan/printable.ts";
import { BodyError, createBodyReader } from "../../request-body.ts";
import type { RerankScorer } from "../rerank-scorer.ts";
import { createHostRule, isLocalOrigin } from "./allowed-hosts.ts";
import { checkJsonBounds } from "./json-bounds.ts";
import { BusyError, Queue } from "./queue.ts";
import { parseRerankBody, type RerankBody, rerankAnswer } from "./rerank-protocol.ts";

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
  /** The address that will be listened on; without a key others are refused (allowed-hosts.ts). Default: 127.0.0.1. */
  readonly host?: string | undefined;
  /** Names under which it is reached besides. */
  readonly allowedHosts?: readonly string[] | undefined;
  readonly connections?: Partial<ConnectionLimits> | undefined;
}

/** Bodies of the largest size that all requests together may hold. */
const BODIES_HELD = 4;
/** Connections beside those of the requests that wait. */
const MORE_CONNECTIONS = 256;
/** JSON values per document that may be sent: its fields, known or not. */
const VALUES_PER_DOCUMENT = 32;
/** JSON values beside the documents. */
const MORE_VALUES = 1000;
/** Seconds a browser may remember what it is allowed. */
const PREFLIGHT_SECONDS = 600;
/** A client that went away gets no answer; this is what nginx logs for it. */
const CLIENT_GONE = 499;
const GONE = ["client_gone_error", "the client hung up"] as const;

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
  if (apiKey === undefined) app.use(checkHost(options));
  // before the key is asked for: a browser asks without it, and errors must reach the page too
  app.use(
    cors({
      origin: (origin) => (apiKey !== undefined || isLocalOrigin(origin) ? origin : null),
      allowMethods: ["GET", "POST"],
      exposeHeaders: ["Retry-After"],
      maxAge: PREFLIGHT_SECONDS,
    }),
  );
  if (apiKey !== undefined) {
    app.use(async (context, next) => {
      if (context.req.path === "/health" || hasKey(context, apiKey)) return next();
      return send(context, 401, "authentication_error", "give the API key as Authorization: Bearer KEY");
    });
  }
  app.get("/health", (context) => context.json({ status: "ok", waiting: queue.waiting }));
  const models = { object: "list", data: [{ id: modelName, object: "model", owned_by: "prism" }] };
  app.get("/v1/models", (context) => context.json(models));
  const readBody = createBodyReader({
    most: options.bodyLimitBytes,
    mostHeld: BODIES_HELD * options.bodyLimitBytes,
    tooLarge: TOO_LARGE,
  });
  for (const path of RERANK_PATHS) {
    app.post(path, async (context) => {
      const gone = watchClient(context.env);
      queue.checkRoom();
      const body = parseRequest(await readBody(context.env), options);
      const { query, documents, instruct } = body;
      const scored = await queue.run(() => scorer.score({ query, documents, instruct, signal: gone }), gone);
      return context.json(rerankAnswer(body, scored, modelName, randomUUID()));
    });
  }
  const server = localServer(app, {
    connections: options.queueLimit + MORE_CONNECTIONS,
    ...options.connections,
  });
  return {
    ...server,
    close: () => {
      queue.close();
      return server.close();
    },
  };
}

/** Refuse requests under another name than the server's own. */
function checkHost({ host = "127.0.0.1", allowedHosts = [] }: ServeOptions): MiddlewareHandler<App> {
  const isOurs = createHostRule(host, allowedHosts);
  return async (context, next) => {
    const { host: given } = context.env.incoming.headers;
    if (isOurs(context.req.header("host"))) return next();
    return send(
      context,
      403,
      "permission_error",
      `this server does not answer as "${printable((given ?? "").slice(0, 100))}"; start it with --allow-host NAME, or with --api-key-file, which allows every name`,
    );
  };
}

/** Aborts when the client hangs up before it is answered. */
function watchClient(bindings: NodeBindings): AbortSignal {
  const controller = new AbortController();
  whenOver(bindings, () => {
    if (!bindings.outgoing.writableFinished) controller.abort();
  });
  return controller.signal;
}

function hasKey(context: Context<App>, apiKey: string): boolean {
  const [scheme = "", given = ""] = (context.req.header("authorization") ?? "").split(" ");
  return scheme.toLowerCase() === "bearer" && timingSafeEqual(digest(given), digest(apiKey));
}

function digest(text: string): Buffer {
  return createHash("sha256").update(text).digest();
}

const TOO_LARGE = "the request is too large; send fewer or shorter documents, or raise --max-body";

/** Throws UsageError, and BodyError where the query, which is read with every document, makes it too large. */
function parseRequest(text: string, { bodyLimitBytes, maxDocuments }: ServeOptions): RerankBody {
  if (text === "") throw new UsageError("the body is empty; send a JSON object");
  checkJsonBounds(text, VALUES_PER_DOCUMENT * maxDocuments + MORE_VALUES);
  const body = parseRerankBody(parseJson(text), maxDocuments);
  const { query, instruct = "", documents } = body;
  const units = documents.reduce((sum, document) => sum + query.length + instruct.length + document.length, 0);
  if (units <= bodyLimitBytes) return body;
  throw new BodyError(
    413,
    `the query is read with each of ${documents.length} documents, ${units} characters in all, at most ${bodyLimitBytes} are taken; send fewer documents at a time, a shorter query, or raise --max-body`,
  );
}

function parseJson(text: string): unknown {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new UsageError(`the body is not valid JSON (${(error as Error).message})`, { cause: error });
  }
  const repeated = findRepeated(text, value);
  if (repeated !== undefined) throw new UsageError(`the body says ${repeated} twice in one object`);
  return value;
}

function sendError(context: Context<App>, error: Error): Response {
  if (context.env.incoming.destroyed && !context.env.incoming.complete) return send(context, CLIENT_GONE, ...GONE);
  if (error instanceof BodyError) {
    const busy = error.status === 429;
    if (busy) context.header("Retry-After", "1");
    return send(context, error.status, busy ? "busy_error" : "invalid_request_error", error.message);
  }
  if (error instanceof UsageError) return send(context, 400, "invalid_request_error", error.message);
  if (error instanceof BusyError) {
    context.header("Retry-After", String(error.retrySeconds));
    const [status, type] = error.closing ? ([503, "unavailable_error"] as const) : ([429, "busy_error"] as const);
    return send(context, status, type, error.message);
  }
  if (error.name === "AbortError") return send(context, CLIENT_GONE, ...GONE);
  return send(context, 500, "server_error", error.message);
}

function send(context: Context<App>, code: number, type: string, message: string): Response {
  return context.json({ error: { code, type, message } }, code as ContentfulStatusCode);
}
