/**
 * One range of a remote file by one GET, checked: redirects followed, status, range, length and version of the file held
 * against what was asked. What may pass by itself is a TransferError, for retry.ts; everything else is a FileError.
 * Follows RFC 9110, sections 13 to 15.
 */
import { FileError, PrismError } from "../../errors.ts";
import { downloadCommand } from "../remote-name.ts";
import { formatCount } from "../source.ts";
import { networkError, refusal, TransferError } from "./failures.ts";
import { follow, type Stated } from "./follow.ts";

/** A file on a server. */
export interface HttpTarget {
  readonly url: URL;
  /** As messages show it: without secrets. */
  readonly path: string;
  /** Sent to the origin of `url` only. */
  readonly authorization?: string;
}

/** Which version of a file a server has: what every further answer is held against. */
export interface FileVersion {
  readonly totalBytes: number;
  /** ETag, else Last-Modified, else "". */
  readonly validator: string;
  /** Whether equal validators mean equal bytes (RFC 9110, 8.8.1). */
  readonly strong: boolean;
  /** What the server says of the file besides; of answers that redirects came before, nothing where these are skipped. */
  readonly stated?: Stated;
}

export interface RangeRequest {
  readonly target: HttpTarget;
  /** Where to ask: the target's URL, or where it redirected to before. */
  readonly url: URL;
  readonly offset: number;
  readonly bytes: number;
  /** Absent: this request learns it. */
  readonly version?: FileVersion;
  readonly signal: AbortSignal;
  /** Milliseconds without a byte until the connection is given up. */
  readonly stallMs: number;
  /** Called for every piece that arrives. */
  readonly onBytes: (bytes: number) => void;
}

export interface RangeReply {
  readonly data: Uint8Array;
  readonly version: FileVersion;
  /** Where redirects ended. */
  readonly url: URL;
}

/** Request one range. Throws TransferError, FileError, and the reason of `signal` once it is aborted. */
export async function requestRange(request: RangeRequest): Promise<RangeReply> {
  const { signal, stallMs, target } = request;
  const connection = new AbortController();
  const stop = () => connection.abort();
  let stalled = false;
  const timer = setTimeout(() => {
    stalled = true;
    stop();
  }, stallMs);
  signal.addEventListener("abort", stop, { once: true });
  try {
    signal.throwIfAborted();
    const { version, offset, bytes } = request;
    const headers = {
      Range: `bytes=${offset}-${offset + bytes - 1}`,
      "Accept-Encoding": "identity",
      ...(version?.strong ? { "If-Range": version.validator } : {}),
    };
    const { response, url, stated } = await follow(target, request.url, headers, connection.signal);
    try {
      const version = { ...checkResponse(request, response), stated };
      return { data: await readBody(request, response, () => timer.refresh()), version, url };
    } finally {
      // frees the connection where the body was not wanted; after a failure there is nothing to free
      await response.body?.cancel().catch(() => undefined);
    }
  } catch (error) {
    signal.throwIfAborted();
    if (stalled) throw new TransferError(`the server sent nothing for ${(stallMs / 1000).toFixed(1)} s`);
    if (error instanceof PrismError || error instanceof TransferError) throw error;
    throw networkError(target.path, error, request.version === undefined);
  } finally {
    clearTimeout(timer);
    signal.removeEventListener("abort", stop);
  }
}

/** Hold status and headers against what was asked. Returns the file's version. */
function checkResponse(request: RangeRequest, response: Response): FileVersion {
  const { target, offset, bytes, version } = request;
  const { status, headers } = response;
  const found = validatorOf(headers);
  const isOther = version !== undefined && found.validator !== version.validator;
  if (status === 412 || (status === 200 && isOther)) throw changed(target);
  if (status === 200) throw refuse(target, "the server sends the whole file when asked for a part of it");
  if (status === 416) {
    if (version !== undefined) throw changed(target);
    throw new FileError(target.path, "the file is empty, expected a GGUF model; check the address");
  }
  if (status !== 206) throw refusal(target, response, request.url.href !== target.url.href);
  if ((headers.get("content-encoding") ?? "identity") !== "identity") {
    throw refuse(target, `the server sends it compressed (${headers.get("content-encoding")})`);
  }
  const range = headers.get("content-range") ?? "";
  const groups = /^bytes (\d+)-(\d+)\/(\d+)$/.exec(range.trim());
  if (groups === null) throw refuse(target, `the server does not say which bytes of how many it sends ("${range}")`);
  const [first, last, totalBytes] = [Number(groups[1]), Number(groups[2]), Number(groups[3])];
  if (version !== undefined && (totalBytes !== version.totalBytes || isOther)) throw changed(target);
  if (first !== offset || last !== offset + bytes - 1) {
    throw refuse(
      target,
      `asked for bytes ${formatCount(offset)} to ${formatCount(offset + bytes - 1)}, the server says that it sends ${formatCount(first)} to ${formatCount(last)}`,
    );
  }
  if (!Number.isSafeInteger(totalBytes) || totalBytes <= last) {
    throw refuse(target, `the server says that the file has ${formatCount(totalBytes)} bytes, which can't be`);
  }
  return { totalBytes, ...found };
}

function validatorOf(headers: Headers): Pick<FileVersion, "validator" | "strong"> {
  const etag = headers.get("etag")?.trim();
  if (etag) return { validator: etag, strong: /^"[^"]*"$/.test(etag) };
  return { validator: headers.get("last-modified") ?? "", strong: false };
}

function changed({ path }: HttpTarget): FileError {
  return new FileError(path, "the file changed while it was read; start again");
}

function refuse({ path }: HttpTarget, problem: string): FileError {
  return new FileError(path, `${problem}; download the file first (${downloadCommand(path)}) and give its path`);
}

async function readBody({ target, bytes, onBytes }: RangeRequest, response: Response, alive: () => void) {
  const data = new Uint8Array(bytes);
  let done = 0;
  for await (const piece of response.body ?? []) {
    alive();
    onBytes(piece.length);
    if (done + piece.length > bytes) {
      throw refuse(target, `asked for ${formatCount(bytes)} bytes, the server sends more`);
    }
    data.set(piece, done);
    done += piece.length;
  }
  if (done < bytes)
    throw new TransferError(`the answer ended after ${formatCount(done)} of ${formatCount(bytes)} bytes`);
  return data;
}
