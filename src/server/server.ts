/**
 * The server: a table of endpoints behind one queue, bounded bodies, a key or the server's own names, CORS. What it
 * answers is in rank-endpoints.ts, embedding-endpoints.ts and about.ts.
 */
import { createHash, timingSafeEqual } from "node:crypto";
import { type Context, Hono, type MiddlewareHandler } from "hono";
import { cors } from "hono/cors";
import { type ConnectionLimits, type LocalServer, localServer, type NodeBindings, whenOver } from "../local-server.ts";
import { printable } from "../plan/printable.ts";
import { createBodyReader } from "../request-body.ts";
import { addAboutRoutes, HEALTH_PATHS } from "./about.ts";
import { createHostRule, isLocalOrigin } from "./allowed-hosts.ts";
import type { Endpoint } from "./endpoint.ts";
import { Queue } from "./queue.ts";
import type { RankLimits } from "./rank-endpoints.ts";
import { type App, refuse, refuseError } from "./refusals.ts";
import { parseRequestJson } from "./request-json.ts";

export interface ServeOptions {
  readonly endpoints: (limits: RankLimits) => readonly Endpoint[];
  /** What the model does, as TEI's /info calls it. */
  readonly modelType: object;
  /** Longest prompt in tokens; absent where it is not known. */
  readonly contextTokens?: number | undefined;
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

const TOO_LARGE = "the request is too large; send fewer or shorter documents, or raise --max-body";

/** Build the server; its close() finishes what runs and refuses what waits. The scorer stays the caller's to close. */
export function buildServer(options: ServeOptions): LocalServer {
  const { endpoints, modelName, modelType, contextTokens, apiKey, maxDocuments, bodyLimitBytes } = options;
  const answered = endpoints({ maxDocuments, mostUnits: bodyLimitBytes });
  const queue = new Queue(options.queueLimit);
  const app = new Hono<App>();
  app.onError((error, context) => refuseError(context, error));
  app.notFound((context) => {
    const { method, path } = context.req;
    return refuse(context, 404, "not_found_error", `no ${method} ${path} here; POST ${answered[0]?.paths[0]} works`);
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
      if (HEALTH_PATHS.includes(context.req.path) || hasKey(context, apiKey)) return next();
      return refuse(context, 401, "authentication_error", "give the API key as Authorization: Bearer KEY");
    });
  }
  addAboutRoutes(app, {
    modelName,
    modelType,
    mostRequests: options.queueLimit + 1,
    maxDocuments,
    contextTokens,
    waiting: () => queue.waiting,
  });
  const readBody = createBodyReader({
    most: bodyLimitBytes,
    mostHeld: BODIES_HELD * bodyLimitBytes,
    tooLarge: TOO_LARGE,
  });
  const mostValues = VALUES_PER_DOCUMENT * maxDocuments + MORE_VALUES;
  for (const { paths, prepare } of answered) {
    app.on("POST", [...paths], async (context) => {
      const gone = watchClient(context.env);
      queue.checkRoom();
      const work = prepare(parseRequestJson(await readBody(context.env), mostValues));
      const client = context.env.incoming.socket.remoteAddress ?? "";
      return context.json(await queue.run(work, { gone, client }));
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
    return refuse(
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
