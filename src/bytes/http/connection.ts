/** The requests of one remote file: repeated where that may help, a few at a time, to where redirects ended before. */
import { present } from "../../present.ts";
import type { WorkQueue } from "../../work-queue.ts";
import { ExpiredError } from "./failures.ts";
import { type FileVersion, type HttpTarget, type RangeReply, requestRange } from "./range-request.ts";
import { RETRY, withRetries } from "./retry.ts";

/** What a request may take, and whom it tells. */
export interface ConnectionOptions {
  readonly signal?: AbortSignal | undefined;
  /** Called for bytes that arrive from the network (those of failed requests too) or are read from the cache. */
  readonly onTransfer?: (from: "network" | "cache", bytes: number) => void;
  /** Milliseconds without a byte until a request is repeated; default 30 s. */
  readonly stallMs?: number;
  /** Milliseconds before the first repetition; default 500. */
  readonly retryBaseMs?: number;
}

/** Longer than the pauses of a loaded server, shorter than a person's patience. */
const STALL_MS = 30_000;

export class HttpConnection {
  readonly #target: HttpTarget;
  readonly #requests: WorkQueue;
  readonly #options: ConnectionOptions;
  readonly #stop = new AbortController();
  readonly #onAbort = () => this.#stop.abort(this.#options.signal?.reason);
  #url: URL;
  #version: FileVersion | undefined;

  constructor(target: HttpTarget, requests: WorkQueue, options: ConnectionOptions) {
    this.#target = target;
    this.#requests = requests;
    this.#options = options;
    this.#url = target.url;
    if (options.signal?.aborted) this.#stop.abort(options.signal.reason);
    options.signal?.addEventListener("abort", this.#onAbort, { once: true });
  }

  /** Learn length and version by a request for the first byte. */
  async open(): Promise<FileVersion> {
    try {
      this.#version = (await this.#request(0, 1)).version;
      return this.#version;
    } catch (error) {
      this.close();
      throw error;
    }
  }

  /** Fetch a range, once its turn has come. */
  async range(offset: number, bytes: number): Promise<Uint8Array> {
    return this.#requests.run(async () => (await this.#request(offset, bytes)).data);
  }

  /** End what is under way; its promises reject. */
  close(): void {
    this.#stop.abort();
    this.#options.signal?.removeEventListener("abort", this.#onAbort);
  }

  async #request(offset: number, bytes: number): Promise<RangeReply> {
    const { attempts } = RETRY;
    const { retryBaseMs: baseMs = RETRY.baseMs } = this.#options;
    const { signal } = this.#stop;
    return withRetries(this.#target.path, { attempts, baseMs, signal }, async () => {
      const url = this.#url;
      try {
        return await this.#ask(url, offset, bytes);
      } catch (error) {
        if (!(error instanceof ExpiredError)) throw error;
        // another request may have got a new one already
        if (this.#url === url) this.#url = this.#target.url;
        return await this.#ask(this.#target.url, offset, bytes);
      }
    });
  }

  async #ask(url: URL, offset: number, bytes: number): Promise<RangeReply> {
    const { stallMs = STALL_MS, onTransfer } = this.#options;
    const reply = await requestRange({
      target: this.#target,
      url,
      offset,
      bytes,
      ...present({ version: this.#version }),
      signal: this.#stop.signal,
      stallMs,
      onBytes: (received) => onTransfer?.("network", received),
    });
    this.#url = reply.url;
    return reply;
  }
}
