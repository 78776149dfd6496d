/** What a failed request means: something that may pass, or something that the user must see to. */
import { FileError } from "../../errors.ts";
import type { HttpTarget } from "./range-request.ts";

/** A failure that may pass: the request is worth repeating. */
export class TransferError extends Error {
  /** How long the server asks to wait. */
  readonly retryAfterMs: number | undefined;

  constructor(message: string, retryAfterMs?: number) {
    super(message);
    this.retryAfterMs = retryAfterMs;
  }
}

/** An address that worked before (a redirect's end, signed for some time) is refused now: ask the first one again. */
export class ExpiredError extends TransferError {}

const PASSING: ReadonlySet<number> = new Set([408, 425, 429, 500, 502, 503, 504]);
const EXPIRED: ReadonlySet<number> = new Set([400, 401, 403, 404, 410]);

/** The error for a status that is no success; `isRedirected` where the address was a redirect's end. */
export function refusal({ path }: HttpTarget, { status, headers }: Response, isRedirected: boolean): Error {
  if (PASSING.has(status)) return new TransferError(`the server answers ${status}`, retryAfterMs(headers));
  if (isRedirected && EXPIRED.has(status)) return new ExpiredError(`status ${status}`);
  const isHub = path.startsWith("hf:") || path.startsWith("HF:");
  if (status === 401 || status === 403) {
    return new FileError(
      path,
      isHub
        ? `no permission to read it (status ${status}); where the repository is private or gated, accept its terms on its page and set HF_TOKEN to a token that may read it; also check the spelling`
        : `no permission to read it (status ${status}); it may need a login, or a signed address has expired: get a new one`,
    );
  }
  if (status === 404 || status === 410) {
    return new FileError(
      path,
      `no such file (status ${status}); check ${isHub ? "owner, repository, file and revision" : "the address"}`,
    );
  }
  return new FileError(path, `the server answers ${status}, expected 206 (a part of the file); check the address`);
}

/** Seconds or a date (RFC 9110, 10.2.3). */
function retryAfterMs(headers: Headers): number | undefined {
  const text = headers.get("retry-after")?.trim() ?? "";
  const ms = /^\d+$/.test(text) ? Number(text) * 1000 : Date.parse(text) - Date.now();
  return Number.isNaN(ms) ? undefined : Math.max(0, ms);
}

/** Network errors that don't pass within seconds, by code, and what they mean. */
const LASTING: readonly (readonly [code: RegExp, reason: string])[] = [
  [/^ENOTFOUND$/, "no such host; check the address and the connection"],
  [/^bad port$/, "web servers don't use this port; check the address"],
  [/CERT|SELF_SIGNED|UNABLE_TO_(VERIFY|GET_ISSUER)|ALTNAME|^ERR_TLS|^ERR_SSL|^EPROTO$/, "no secure connection"],
];

/**
 * The error for a request that got no answer, or only a part of one. A server that refuses the `first` request is not
 * there; one that refuses a later one may be starting again.
 */
export function networkError(path: string, error: unknown, first: boolean): Error {
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
  const { code, message } = cause as NodeJS.ErrnoException;
  const detail = message || code || "no answer";
  // fetch's own refusals have no code
  const name = code ?? message;
  const reason =
    first && name === "ECONNREFUSED"
      ? "no server answers there; check the address"
      : LASTING.find(([pattern]) => pattern.test(name))?.[1];
  if (reason !== undefined) return new FileError(path, `${reason} (${detail})`, { cause: error });
  return new TransferError(`the connection failed (${detail})`);
}
