/**
 * A remote file by HTTP ranges. The first request learns length and version; every later answer must be of that version.
 * Reads are rounded to blocks, missing neighbours joined, long ones cut and fetched side by side; what was fetched stays
 * in a cache on disk where the server's ETag says exactly which bytes it has.
 */
import { setMaxListeners } from "node:events";
import { join } from "node:path";
import { createCacheBudget } from "../disk/cache-budget.ts";
import { FormatError } from "../errors.ts";
import { createWorkQueue } from "../work-queue.ts";
import { type ConnectionOptions, HttpConnection } from "./http/connection.ts";
import { RangeCache } from "./http/range-cache.ts";
import type { HttpTarget } from "./http/range-request.ts";
import { BLOCK_BYTES } from "./http/region-file.ts";
import { type ByteSource, formatCount } from "./source.ts";

export interface HttpOptions extends ConnectionOptions {
  /** Folder in which fetched parts are kept; absent: nothing is kept. */
  readonly cacheDir?: string | undefined;
  /** Bytes of all kept parts; default 10 GB. */
  readonly cacheLimitBytes?: number | undefined;
  /** Called with what a person should know. */
  readonly onNote?: (text: string) => void;
}

/** Ranges of a model fetched at a time, over all its shards: enough to hide the latency of a distant server. */
const REQUESTS_AT_A_TIME = 8;

/** The default analysis of ten models of 9B parameters, about 0.7 GB each. */
const CACHE_LIMIT_BYTES = 10e9;

/** Bytes of one request: what a failure costs at most. */
const MAX_REQUEST_BYTES = 4 << 20;

/** The files of one model: they share the requests at a time and the room in the cache. */
export interface HttpSession {
  /** Open a remote file. Throws FileError where the server refuses, has no ranges or can't be reached. */
  open(target: HttpTarget): Promise<ByteSource>;
}

export function createHttpSession(options: HttpOptions = {}): HttpSession {
  const {
    cacheDir,
    cacheLimitBytes = CACHE_LIMIT_BYTES,
    onNote = () => undefined,
    onTransfer = () => undefined,
  } = options;
  // every shard listens to it
  if (options.signal !== undefined) setMaxListeners(0, options.signal);
  const requests = createWorkQueue(REQUESTS_AT_A_TIME);
  const root = cacheDir === undefined ? undefined : join(cacheDir, "remote");
  const budget = root === undefined ? undefined : createCacheBudget(root, cacheLimitBytes);
  return {
    async open(target) {
      const connection = new HttpConnection(target, requests, options);
      const { totalBytes, validator, strong } = await connection.open();
      const key = `${unsigned(target.url)}\n${validator}`;
      // a weak validator may stay the same when bytes change
      const isKept = root !== undefined && budget !== undefined && strong;
      const cache = isKept ? new RangeCache({ root, budget, key, totalBytes, onNote }) : undefined;
      const source = new HttpSource(target.path, totalBytes, connection, cache, onTransfer);
      return strong ? Object.assign(source, { revision: key }) : source;
    },
  };
}

/** Query parameters that sign an address (S3, CloudFront, Google, Azure) and say nothing of the file. */
const SIGNATURE =
  /^(x-amz-.*|x-goog-.*|expires|signature|key-pair-id|policy|awsaccesskeyid|googleaccessid|sig|s[eipvrt]|spr|sk[a-z]+)$/i;

/** A signed address is a new one each time; its file is not. */
function unsigned(url: URL): string {
  const bare = new URL(url);
  for (const name of [...bare.searchParams.keys()]) if (SIGNATURE.test(name)) bare.searchParams.delete(name);
  return bare.href;
}

class HttpSource implements ByteSource {
  readonly path: string;
  readonly byteLength: number;
  readonly #connection: HttpConnection;
  readonly #cache: RangeCache | undefined;
  readonly #onTransfer: (from: "cache", bytes: number) => void;

  constructor(
    path: string,
    byteLength: number,
    connection: HttpConnection,
    cache: RangeCache | undefined,
    onTransfer: (from: "cache", bytes: number) => void,
  ) {
    this.path = path;
    this.byteLength = byteLength;
    this.#connection = connection;
    this.#cache = cache;
    this.#onTransfer = onTransfer;
  }

  async read(offset: number, bytes: number): Promise<Uint8Array> {
    if (offset < 0 || bytes < 0 || offset + bytes > this.byteLength) {
      throw new FormatError(
        this.path,
        `gguf: expected ${formatCount(bytes)} bytes at ${formatCount(offset)} but the file has ${formatCount(this.byteLength)}; it is truncated or damaged`,
        { offset },
      );
    }
    if (bytes === 0) return new Uint8Array(0);
    const start = offset - (offset % BLOCK_BYTES);
    const end = Math.min(Math.ceil((offset + bytes) / BLOCK_BYTES) * BLOCK_BYTES, this.byteLength);
    const blocks = new Uint8Array(end - start);
    const gaps = (await this.#cache?.fill(start, blocks)) ?? [{ start, end }];
    const missing = gaps.reduce((sum, gap) => sum + gap.end - gap.start, 0);
    if (missing < blocks.length) this.#onTransfer("cache", blocks.length - missing);
    await Promise.all(
      gaps.flatMap(cut).map(async (gap) => {
        const data = await this.#connection.range(gap.start, gap.end - gap.start);
        blocks.set(data, gap.start - start);
        await this.#cache?.store(gap.start, data);
      }),
    );
    return blocks.slice(offset - start, offset - start + bytes);
  }

  async close(): Promise<void> {
    this.#connection.close();
    await this.#cache?.flush();
  }
}

function cut({ start, end }: { start: number; end: number }): { start: number; end: number }[] {
  const count = Math.ceil((end - start) / MAX_REQUEST_BYTES);
  return Array.from({ length: count }, (_, i) => ({
    start: start + i * MAX_REQUEST_BYTES,
    end: Math.min(start + (i + 1) * MAX_REQUEST_BYTES, end),
  }));
}
