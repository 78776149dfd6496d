/** Takes indexes from the queue of a campaign, one at a time, until there are none. */
import { setTimeout as sleep } from "node:timers/promises";
import type { Job } from "bullmq";
import { EXIT, PrismError } from "../../errors.ts";
import { engineName } from "../submission.ts";
import { redisAddress } from "./redis-address.ts";
import { connect, indexOf, loadBullmq, PREFIX, queueState } from "./redis-queue.ts";
import { type IndexRequest, runIndex } from "./run-index.ts";

/** A worker that has not said for so long that it lives has lost its index; the others look this often. */
const LOCK_MS = 20_000;
const LOOK_MS = 10_000;
/** Indexes of workers that died; what kills them is given up by the campaign's own count. */
const MOST_STALLS = 20;
/** How often the queue is looked at, and how many times of it the campaign, by who has nothing to do. */
const POLL_MS = 2000;
const POLLS = 5;

export interface QueueWork {
  /** Indexes that were done here. */
  readonly done: number;
  /** Jobs that were none of this campaign. */
  readonly refused: number;
  /** The campaign was taken back meanwhile. */
  readonly cancelled: boolean;
}

export interface QueueWorker extends IndexRequest {
  readonly signal: AbortSignal;
  readonly note: (text: string) => void;
  /** Whether the campaign has something to do, whatever lies in the queue. */
  readonly isOpen: () => Promise<boolean>;
}

/**
 * Work until nothing waits or runs, or the campaign is cancelled. Redis may go away and come back meanwhile. Throws what this
 * machine lacks to do any index.
 */
export async function workFromRedis(request: QueueWorker, url: string): Promise<QueueWork> {
  const { campaign, signal, note, isOpen } = request;
  const { bullmq } = await loadBullmq();
  const address = redisAddress(url);
  const ending = new AbortController();
  const stop = AbortSignal.any([signal, ending.signal]);
  let [done, refused, isAway, isBusy] = [0, 0, false, false];
  let failure: Error | undefined;
  const onError = (error: Error & { code?: unknown }) => {
    if (stop.aborted || isAway) return;
    isAway = typeof error.code === "string" || /closed/i.test(error.message);
    if (isAway) note(`! ${address.url} is away (${error.message}): waiting for it`);
    else if (error instanceof SyntaxError) note("! a job of the queue can't be read, and is not run");
    else note(`! Redis: ${error.message}`);
  };
  const connection = await connect(address, onError);
  connection.on("ready", () => {
    if (isAway) note(`${address.url} is back`);
    isAway = false;
  });

  const work = async (job: Job, token?: string): Promise<void> => {
    let index: number;
    try {
      index = indexOf(job.data, campaign);
    } catch (error) {
      refused++;
      const words = `job ${JSON.stringify(String(job.id).slice(0, 64))} was refused, and not run: ${(error as Error).message}`;
      note(`! ${words}`);
      throw new bullmq.UnrecoverableError(words);
    }
    isBusy = true;
    const { code, reason } = await runIndex(request, index, stop).finally(() => {
      isBusy = false;
    });
    if (code === EXIT.ok) {
      done++;
      return note(`index ${index} is done`);
    }
    // nobody is to do it any more
    if (ending.signal.aborted && failure === undefined) return;
    if (signal.aborted || code === EXIT.usage || code === EXIT.missing) {
      // another machine may
      if (!signal.aborted)
        failure = new PrismError(code === EXIT.usage ? "usage" : "engine-missing", code ?? 1, reason);
      ending.abort();
      await job.moveToWait(token);
      throw new bullmq.WaitingError();
    }
    note(`! index ${index}: ${reason}`);
    if (code !== EXIT.incomplete) throw new Error(reason);
  };

  const name = engineName(campaign);
  const options = { connection, prefix: PREFIX };
  const queue = new bullmq.Queue(name, options);
  const taker = new bullmq.Worker(name, work, {
    ...options,
    lockDuration: LOCK_MS,
    stalledInterval: LOOK_MS,
    maxStalledCount: MOST_STALLS,
  });
  queue.on("error", onError);
  taker.on("error", onError);
  let cancelled = false;
  try {
    for (let polls = 1; !stop.aborted; polls++) {
      await sleep(POLL_MS, undefined, { signal: stop }).catch(() => undefined);
      if (stop.aborted || isAway) continue;
      cancelled = await queue.isPaused();
      const { running, waiting } = await queueState(queue);
      const isLeft = running + waiting > 0 && (isBusy || polls % POLLS > 0 || (await isOpen()));
      if (cancelled || !isLeft) ending.abort();
    }
  } finally {
    // what runs is asked to end by the signal
    await taker.close();
    await queue.close();
    connection.disconnect();
  }
  signal.throwIfAborted();
  if (failure !== undefined) throw failure;
  return { done, refused, cancelled };
}
