/** Waiting for the others of a round: as long as somebody works at it, and a while after. */
import { setTimeout as sleep } from "node:timers/promises";

/** Seconds for which nobody may have been at work. */
export const ROUND_WAIT_SECONDS = 120;

const LEAST_POLL_MS = 100;
const MOST_POLL_MS = 5000;
const POLL_GROWTH = 1.5;

export interface RoundWait {
  /** Wait a little; false where nothing has happened for too long. `state` changes with what is done. */
  next(state: string, isBusy: boolean): Promise<boolean>;
}

export function createRoundWait(seconds: number, signal: AbortSignal): RoundWait {
  let before: string | undefined;
  let since = 0;
  let poll = LEAST_POLL_MS;
  return {
    async next(state, isBusy) {
      const now = performance.now();
      if (state !== before) poll = LEAST_POLL_MS;
      if (state !== before || isBusy) since = now;
      before = state;
      if (now - since >= 1000 * seconds && !isBusy) return false;
      await sleep(poll, undefined, { signal }).catch(() => signal.throwIfAborted());
      poll = Math.min(MOST_POLL_MS, poll * POLL_GROWTH);
      return true;
    },
  };
}
