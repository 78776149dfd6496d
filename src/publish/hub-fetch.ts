/** fetch as the Hub's library is given it: transfers of bytes are repeated where the failure may pass, and counted. */
import { setTimeout as wait } from "node:timers/promises";

const PASSING: ReadonlySet<number> = new Set([408, 429, 500, 502, 503, 504]);
const RETRY_AFTER_MS = [1000, 5000, 20_000];

export interface FetchOptions {
  readonly signal: AbortSignal;
  /** Waits before a transfer that failed is tried again, milliseconds. */
  readonly retryAfterMs?: readonly number[];
}

/** `told` hears of every transfer that arrived: its bytes, and the file they are of. */
export function hubFetch(
  { signal, retryAfterMs = RETRY_AFTER_MS }: FetchOptions,
  told: (bytes: number, path: string) => void = () => undefined,
): typeof fetch {
  return async (input, init = {}) => {
    const waits = init.method === "PUT" ? [...retryAfterMs] : [];
    for (;;) {
      const delay = waits.shift();
      try {
        const answer = await fetch(input, { ...init, signal: either(signal, init.signal) });
        if (delay === undefined || !PASSING.has(answer.status)) {
          if (answer.ok && init.body instanceof Blob) told(init.body.size, pathOf(init));
          return answer;
        }
        await answer.body?.cancel();
      } catch (error) {
        if (delay === undefined || signal.aborted || init.signal?.aborted) throw error;
      }
      await wait(delay, undefined, { signal });
    }
  };
}

function either(one: AbortSignal, other: AbortSignal | null | undefined): AbortSignal {
  return other === null || other === undefined ? one : AbortSignal.any([one, other]);
}

/** The library says of every transfer which file it is of. */
function pathOf(init: RequestInit): string {
  const hint = "progressHint" in init ? (init.progressHint as { readonly path?: unknown } | undefined) : undefined;
  return typeof hint?.path === "string" ? hint.path : "";
}
