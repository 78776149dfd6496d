/** A web server on 127.0.0.1 that serves byte ranges of what it is given, and fails as a test tells it to. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

export interface ServedFile {
  readonly bytes: Uint8Array;
  readonly etag: string;
}

export interface Asked {
  /** Path and query. */
  readonly url: string;
  readonly headers: IncomingMessage["headers"];
  readonly first: number;
  readonly last: number;
}

/** Answers a request instead of the server; false leaves it to the server. `number` counts from 1. */
export type Misbehaviour = (asked: Asked, response: ServerResponse, number: number) => boolean;

export class RangeServer {
  readonly files = new Map<string, ServedFile>();
  readonly asked: Asked[] = [];
  misbehave: Misbehaviour = () => false;
  /** Requests being answered now, and the most there ever were. */
  busy = 0;
  mostBusy = 0;
  /** Milliseconds before each answer. */
  delayMs = 0;
  readonly #server: Server;

  private constructor() {
    this.#server = createServer((request, response) => this.#answer(request, response));
  }

  static async start(): Promise<RangeServer> {
    const server = new RangeServer();
    await new Promise<void>((resolve) => server.#server.listen(0, "127.0.0.1", resolve));
    return server;
  }

  get origin(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** Bytes asked for so far, over all requests. */
  get askedBytes(): number {
    return this.asked.reduce((sum, { first, last }) => sum + last - first + 1, 0);
  }

  /** Forget what happened and behave. */
  reset(): void {
    this.asked.length = 0;
    this.misbehave = () => false;
    this.delayMs = 0;
    this.mostBusy = 0;
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #answer(request: IncomingMessage, response: ServerResponse): void {
    const [, first = "0", last = "0"] = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? "") ?? [];
    const asked = { url: request.url ?? "", headers: request.headers, first: Number(first), last: Number(last) };
    this.asked.push(asked);
    this.busy++;
    this.mostBusy = Math.max(this.mostBusy, this.busy);
    response.once("close", () => this.busy--);
    const number = this.asked.length;
    setTimeout(() => {
      if (!this.misbehave(asked, response, number)) this.serve(asked, response);
    }, this.delayMs);
  }

  /** Answer as a good server does. */
  serve(asked: Asked, response: ServerResponse): void {
    const file = this.files.get(asked.url.replace(/\?.*/, ""));
    if (file === undefined) return void response.writeHead(404).end("no such file");
    const { bytes, etag } = file;
    const total = bytes.length;
    const ifRange = asked.headers["if-range"];
    if (ifRange !== undefined && ifRange !== etag) return void response.writeHead(200, { etag }).end(bytes);
    if (asked.first >= total) return void response.writeHead(416, { "content-range": `bytes */${total}` }).end();
    const last = Math.min(asked.last, total - 1);
    response.writeHead(206, {
      etag,
      "content-range": `bytes ${asked.first}-${last}/${total}`,
      "content-length": last - asked.first + 1,
    });
    response.end(bytes.subarray(asked.first, last + 1));
  }
}
