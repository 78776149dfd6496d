/**
 * BullMQ on Redis: a queue a campaign, a job an index. A job holds the campaign's id and a number, and nothing of it is ever
 * a command, a path or code.
 */
import { Type } from "@sinclair/typebox";
import type { Queue } from "bullmq";
import type { Redis } from "ioredis";
import * as t from "../../documents/fields.ts";
import { findViolation } from "../../documents/violation.ts";
import { AgainError, UsageError } from "../../errors.ts";
import type { Campaign } from "../campaign-document.ts";
import { engineName, removeMark, type Submission, withSubmissionLock, writeMark } from "../submission.ts";
import type { EngineState, Handover } from "./engine.ts";
import { PASSWORD_VARIABLE, type RedisAddress, redisAddress } from "./redis-address.ts";

/** All of PRISM in a Redis is below this. */
export const PREFIX = "prism";
/** A Redis that says nothing for so long is not there. */
const PATIENCE_SECONDS = 20;
/** Jobs sent at once. */
const BATCH = 1000;
/** Of an index that ended for another try, 5 s apart. */
const JOB = { attempts: 10, backoff: { type: "fixed", delay: 5000 }, removeOnComplete: true, removeOnFail: true };

const PAYLOAD = Type.Object({ campaign: t.text(), index: t.count() }, { additionalProperties: false });

/** The index of a job. Throws UsageError for what is no job of this campaign: it is named, and not run. */
export function indexOf(data: unknown, { id, jobs }: Campaign): number {
  const violation = findViolation(PAYLOAD, data);
  if (violation !== undefined) throw new UsageError(`it is none of PRISM's: ${violation}`);
  const { campaign, index } = data as { campaign: string; index: number };
  if (campaign !== id) throw new UsageError(`it is of the campaign ${JSON.stringify(campaign.slice(0, 64))}`);
  if (index >= jobs) throw new UsageError(`index ${index}: the campaign has the indexes 0 to ${jobs - 1}`);
  return index;
}

interface Packages {
  readonly bullmq: typeof import("bullmq");
  readonly Redis: typeof import("ioredis").Redis;
}

/** They are installed by who uses them. */
export async function loadBullmq(): Promise<Packages> {
  const missing = (error: Error): never => {
    throw new UsageError("--redis needs the packages bullmq and ioredis: npm install bullmq ioredis", { cause: error });
  };
  const [bullmq, ioredis] = await Promise.all([import("bullmq").catch(missing), import("ioredis").catch(missing)]);
  return { bullmq, Redis: ioredis.Redis };
}

/** A connection that comes back by itself. Throws AgainError where there is none at first, UsageError for a wrong password. */
export async function connect(
  address: RedisAddress,
  onError: (error: Error) => void = () => undefined,
): Promise<Redis> {
  const { Redis } = await loadBullmq();
  const { url, ...where } = address;
  const client = new Redis({ ...where, lazyConnect: true, maxRetriesPerRequest: null });
  let last: Error | undefined;
  client.on("error", (error: Error) => {
    last = error;
    onError(error);
  });
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(last ?? new Error("no answer")), 1000 * PATIENCE_SECONDS);
  });
  try {
    await Promise.race([client.connect().then(() => client.ping()), late]);
    return client;
  } catch (error) {
    client.disconnect();
    throw unreachable(url, last ?? (error as Error));
  } finally {
    clearTimeout(timer);
  }
}

function unreachable(url: string, error: Error): Error {
  if (/NOAUTH|WRONGPASS|NOPERM|without any password/.test(error.message)) {
    const words = `${url} refuses the user or password (${error.message.split(/[ ,]/)[0]}); give the right one in ${PASSWORD_VARIABLE} or in the URL`;
    return new UsageError(words, { cause: error });
  }
  return new AgainError(`${url} does not answer (${error.message}); is Redis running there?`, { cause: error });
}

/** With the queue of a campaign, for as long as the work takes. */
export async function withQueue<Result>(
  address: RedisAddress,
  campaign: Campaign,
  work: (queue: Queue) => Promise<Result>,
): Promise<Result> {
  const { bullmq } = await loadBullmq();
  const connection = await connect(address);
  const queue = new bullmq.Queue(engineName(campaign), { connection, prefix: PREFIX });
  queue.on("error", () => undefined);
  try {
    return await work(queue);
  } finally {
    await queue.close();
    connection.disconnect();
  }
}

/** Hand the open indexes to Redis: those that are in the queue already stay as they are. */
export async function submitToRedis(handover: Handover, text: string): Promise<Submission> {
  const { directory, campaign, indexes } = handover;
  const address = redisAddress(text);
  return withSubmissionLock(directory, () =>
    withQueue(address, campaign, async (queue) => {
      const { id } = campaign;
      for (let from = 0; from < indexes.length; from += BATCH) {
        await queue.addBulk(
          indexes.slice(from, from + BATCH).map((index) => ({
            name: "index",
            data: { campaign: id, index },
            opts: { ...JOB, jobId: `${id}-${index}` },
          })),
        );
      }
      // it was stopped where the campaign was cancelled
      await queue.resume();
      return writeMark(directory, campaign, { engine: "redis", indexes: indexes.length, url: address.url });
    }),
  );
}

export async function queueState(queue: Queue): Promise<EngineState> {
  const { active = 0, ...others } = await queue.getJobCounts("active", "waiting", "delayed", "prioritized");
  return { engine: "redis", running: active, waiting: Object.values(others).reduce((sum, count) => sum + count, 0) };
}

/** What waits and runs of the campaign. Throws AgainError where Redis does not answer. */
export async function redisState(campaign: Campaign, url: string): Promise<EngineState> {
  return withQueue(redisAddress(url), campaign, queueState);
}

/** Take the campaign back: nothing is given out any more, and workers end. Returns what there was. */
export async function cancelRedis(
  { directory, campaign }: Pick<Handover, "directory" | "campaign">,
  url: string,
): Promise<EngineState | undefined> {
  const address = redisAddress(url);
  return withSubmissionLock(directory, () =>
    withQueue(address, campaign, async (queue) => {
      await queue.pause();
      const state = await queueState(queue);
      await queue.drain(true);
      await removeMark(directory, "redis");
      return state.running + state.waiting > 0 ? state : undefined;
    }),
  );
}
