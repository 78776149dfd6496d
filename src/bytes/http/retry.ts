/** Repeats what failed for reasons that may pass, later and later. */
import { setTimeout as wait } from "node:timers/promises";
import { FileError } from "../../errors.ts";
import { TransferError } from "./failures.ts";

export interface RetryOptions {
  /** Requests in all, the first included. */
  readonly attempts: number;
  /** The wait before the first repetition is between half of it and all of it; each further one is twice as long. */
  readonly baseMs: number;
  readonly signal: AbortSignal;
}

/** Six requests within 8 to 16 s outlive a restarted server or proxy. */
export const RETRY = { attempts: 6, baseMs: 500 } as const;

/** The longest wait that a server may ask for. */
const MAX_RETRY_AFTER_MS = 120_000;

/** Repeat `attempt` while it throws TransferError. Throws FileError naming `path` where it never succeeds. */
export async function withRetries<Result>(
  path: string,
  { attempts, baseMs, signal }: RetryOptions,
  attempt: () => Promise<Result>,
): Promise<Result> {
  for (let done = 1; ; done++) {
    try {
      return await attempt();
    } catch (error) {
      if (!(error instanceof TransferError)) throw error;
      const { retryAfterMs = 0, message } = error;
      if (retryAfterMs > MAX_RETRY_AFTER_MS) {
        throw new FileError(
          path,
          `${message} and asks to wait ${Math.ceil(retryAfterMs / 60_000)} min; try again then`,
        );
      }
      if (done >= attempts) {
        throw new FileError(path, `${message}, ${done} times in a row; check the connection and try again`);
      }
      // half of it is random, so that the requests of one moment don't come back in one moment
      const backoffMs = baseMs * 2 ** (done - 1) * (0.5 + Math.random() / 2);
      await wait(Math.max(retryAfterMs, backoffMs), undefined, { signal }).catch(() => {
        throw signal.reason;
      });
    }
  }
}
