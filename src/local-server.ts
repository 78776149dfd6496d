/** A Hono app on a port of this machine: what both of PRISM's servers have in common. */
import { once } from "node:events";
import type { IncomingMessage, Server, ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
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
  /** Take no more connections and wait until what runs is answered; idle connections are cut. */
  close(): Promise<void>;
  /** Cut all connections, also those that are being answered. */
  cut(): void;
}

export interface LocalServerOptions {
  /** Milliseconds a client has to send its request; default: Node's, 5 minutes. */
  readonly requestTimeoutMs?: number;
}

/** Put an app behind Node's http server. */
export function localServer(
  app: Hono<{ Bindings: NodeBindings }>,
  { requestTimeoutMs }: LocalServerOptions = {},
): LocalServer {
  let closing = false;
  const server = createAdaptorServer({
    async fetch(request, env) {
      const response = await app.fetch(request, env as NodeBindings);
      // A body that was refused is not read to its end for the sake of the next request; and a client that keeps its
      // connection would hold a stopping server.
      if (closing || !env.incoming.complete) response.headers.set("Connection", "close");
      return response;
    },
    // the library's callers keep Node's own Request and Response
    overrideGlobalObjects: false,
    serverOptions: requestTimeoutMs === undefined ? {} : { requestTimeout: requestTimeoutMs },
  }) as Server;
  return {
    async listen({ host, port }) {
      server.listen(port, host);
      await once(server, "listening");
      const { address, family, port: taken } = server.address() as AddressInfo;
      return `http://${family === "IPv6" ? `[${address}]` : address}:${taken}`;
    },
    close() {
      closing = true;
      return new Promise((resolve, reject) => {
        if (!server.listening) return resolve();
        server.close((error) => (error === undefined ? resolve() : reject(error)));
      });
    },
    cut: () => server.closeAllConnections(),
  };
}

/** Whether a request says that its body is JSON. A web page may send other types anywhere without asking. */
export function saysJson(contentType: string | undefined): boolean {
  return contentType?.split(";")[0]?.trim().toLowerCase() === "application/json";
}
