/** What a refusal of the Hub, or a connection that failed, means to the one who uploads. */
import { FileError, PrismError, UsageError } from "../errors.ts";

export interface HubTarget {
  /** Address of the Hub, without a slash at its end. */
  readonly hubUrl: string;
  /** OWNER/NAME. */
  readonly repository: string;
  /** A branch. */
  readonly revision: string;
}

/** The status of a refusal of the Hub's. */
export function statusOf(error: unknown): number | undefined {
  const status = error instanceof Error && "statusCode" in error ? error.statusCode : undefined;
  return typeof status === "number" ? status : undefined;
}

/** The error for whatever went wrong with the Hub; the token is in none. An abort stays what it is. */
export function hubError(error: unknown, { hubUrl, repository, revision }: HubTarget, token: string): unknown {
  if (error instanceof PrismError) return error;
  if (error instanceof Error && error.name === "AbortError") return error;
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
  const { code = "", message } = cause as NodeJS.ErrnoException;
  const detail = (message || code || "no answer").replaceAll(token, "hf_...");
  const status = statusOf(error);
  // the error that the Hub's own library threw may hold the token
  const failed = (what: string) => new FileError(`${hubUrl}/${repository}`, what);
  if (status === 401) {
    return failed(
      `the Hub does not take the token (status 401); make one that may write at ${hubUrl}/settings/tokens and give it as HF_TOKEN`,
    );
  }
  if (status === 403) {
    return failed(
      `the token may not write there (status 403): ${detail}; check the owner's name, and give a token with write permission`,
    );
  }
  if (status === 404) {
    return failed(
      `no such repository or branch (${revision}, status 404); check the name, and that the token may see it`,
    );
  }
  if (status === 429) return failed("the Hub asks to wait (status 429); the same command goes on from here later");
  if (status !== undefined) return failed(`the Hub answers ${status}: ${detail}; the same command goes on from here`);
  if (error instanceof TypeError || /^E[A-Z]+$|^UND_ERR/.test(code)) {
    return failed(`the connection failed (${detail}); what is uploaded stays, the same command goes on from here`);
  }
  return failed(`${detail}; the same command goes on from here`);
}

/** Throws UsageError: nothing is uploaded without a token. */
export function requireToken(token: string | undefined, hubUrl: string): string {
  if (token !== undefined) return token;
  throw new UsageError(
    `no token for the Hub: set HF_TOKEN to one that may write (${hubUrl}/settings/tokens), or log in with hf auth login`,
  );
}
