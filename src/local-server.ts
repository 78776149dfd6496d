/**
 * A Hono app on a port of this machine: what both of PRISM's servers have in common. A client that sends slowly, sends
 * nothing, or does not read its answer is cut, so that it holds neither a place nor memory.
 */
import { once } from "node:events";
import type { IncomingMessage, Server, ServerResponse } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import { createAdaptorServer } from "@hono/node-server";
import type { Hono } from "hono";

/** What node-server hands every route as `env`. */
export interface NodeBindings {
  readonly incoming: IncomingMessage;
  readonly outgoing: ServerResponse;
}

export interface ListenOptions {
  readonly host: string;
  /** 0: any free port. */
  readonly port: number;
}

export interface LocalServer {
  /** The address, "http://127.0.0.1:8080". Rejects with Node's error where the port is taken. */
  listen(options: ListenOptions): Promise<string>;
  /** Take no more connections and wait until what was asked is answered; connections that asked nothing are cut. */
  close(): Promise<void>;
  /** Cut all connections, also those that are being answered. */
  cut(): void;
}

/** How long a client may take, in milliseconds, and how many there may be. */
export interface ConnectionLimits {
  /** To send the head of a request; a connection that sends nothing counts too. */
  readonly headMs: number;
  /** To send all of a request. */
  readonly requestMs: number;
  /** Between two requests of a connection. */
  readonly idleMs: number;
  /** Without reading on in its answer, and to read all of it. */
  readonly stallMs: number;
  readonly answerMs: number;
  /** Connections at a time; more are closed at once. */
  readonly connections: number;
}

const CONNECTION_LIMITS: ConnectionLimits = {
  headMs: 15_000,
  requestMs: 60_000,
  idleMs: 5_000,
  stallMs: 30_000,
  answerMs: 300_000,
  connections: 256,
};

/** Milliseconds a stopping server waits for a client to read on in its answer. */
const STOPPING_STALL_MS = 3_000;

/** Put an app behind Node's http server. */
export function localServer(
  app: Hono<{ Bindings: NodeBindings }>,
  limits: Partial<ConnectionLimits> = {},
): LocalServer {
  const { headMs, requestMs, idleMs, stallMs, answerMs, connections } = { ...CONNECTION_LIMITS, ...limits };
  let closing = false;
  /** Requests of a connection that are not answered yet. */
  const asked = new Map<Socket, Set<NodeBindings>>();
  const stall = () => (closing ? Math.min(stallMs, STOPPING_STALL_MS) : stallMs);
  const server = createAdaptorServer({
    async fetch(request, env) {
      const bindings = env as NodeBindings;
      const { incoming, outgoing } = bindings;
      const { socket } = incoming;
      const pending = asked.get(socket);
      pending?.add(bindings);
      whenOver(bindings, () => pending?.delete(bindings));
      const response = await app.fetch(request, bindings);
      // A body that was refused is not read to its end for the sake of the next request; and a client that keeps its
      // connection would hold a stopping server.
      if (closing || !incoming.complete) response.headers.set("Connection", "close");
      const guard = () => {
        // Node cuts a connection on which nothing moves for so long
        socket.setTimeout(stall());
        const late = setTimeout(() => socket.destroy(), answerMs).unref();
        whenOver(bindings, () => clearTimeout(late));
        // what was asked behind it may take its time
        outgoing.once("finish", () => pending !== undefined && pending.size > 1 && socket.setTimeout(0));
      };
      // an answer waits for those before it on its connection
      if (outgoing.socket === null) outgoing.once("socket", guard);
      else guard();
      return response;
    },
    // the library's callers keep Node's own Request and Response
    overrideGlobalObjects: false,
    serverOptions: {
      headersTimeout: headMs,
      requestTimeout: requestMs,
      keepAliveTimeout: idleMs,
      connectionsCheckingInterval: Math.min(5_000, headMs / 2),
    },
  }) as Server;
  server.maxConnections = connections;
  server.on("connection", (socket: Socket) => {
    asked.set(socket, new Set());
    // one listener or more for each request that a client sends without waiting for answers
    socket.setMaxListeners(0);
    socket.once("close", () => asked.delete(socket));
  });
  return {
    async listen({ host, port }) {
      server.listen(port, host);
      await once(server, "listening");
      const { address, family, port: taken } = server.address() as AddressInfo;
      return `http://${family === "IPv6" ? `[${address}]` : address}:${taken}`;
    },
    close() {
      closing = true;
      for (const [socket, pending] of asked) {
        const whole = [...pending].filter(({ incoming }) => incoming.complete);
        if (whole.length === 0) socket.destroy();
        else if (whole.some(({ outgoing }) => outgoing.writableEnded)) socket.setTimeout(stall());
      }
      return new Promise((resolve, reject) => {
        if (!server.listening) return resolve();
        server.close((error) => (error === undefined ? resolve() : reject(error)));
      });
    },
    cut: () => server.closeAllConnections(),
  };
}

/** Call `over` once, when the answer is sent or the client is gone: Node tells only the first of several waiting answers. */
export function whenOver({ incoming: { socket }, outgoing }: NodeBindings, over: () => void): void {
  let told = false;
  const tell = () => {
    socket.off("close", tell);
    outgoing.off("close", tell);
    if (!told) over();
    told = true;
  };
  if (socket.destroyed || outgoing.destroyed) tell();
  socket.once("close", tell);
  outgoing.once("close", tell);
}

/** Whether a request says that its body is JSON. A web page may send other types anywhere without asking. */
export function saysJson(contentType: string | undefined): boolean {
  return contentType?.split(";")[0]?.trim().toLowerCase() === "application/json";
}
