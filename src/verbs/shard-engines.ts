/** What engines say of a campaign that they were handed, how it is taken back, and a worker of a queue. */
import { resolve } from "node:path";
import { AgainError, UsageError } from "../errors.ts";
import { present } from "../present.ts";
import { readCampaign } from "../shard/campaign.ts";
import type { Campaign } from "../shard/campaign-document.ts";
import type { EngineState } from "../shard/engines/engine.ts";
import { cancelRedis, redisState } from "../shard/engines/redis-queue.ts";
import { type QueueWork, workFromRedis } from "../shard/engines/redis-worker.ts";
import { ClientMissing } from "../shard/engines/run-client.ts";
import { cancelSlurm, slurmState } from "../shard/engines/slurm.ts";
import { type CampaignStatus, campaignStatus } from "../shard/status.ts";
import { ENGINES, type EngineId, readMark, type Submission } from "../shard/submission.ts";

/** What an engine says of a campaign that it was handed, or why it says nothing. */
export interface EngineAnswer extends Partial<EngineState> {
  readonly engine: EngineState["engine"];
  readonly error?: string;
}

/**
 * Of all engines that have left a mark, and of the Redis that is named. Never throws: they may be of other machines. A Redis is asked by the URL that is given
 * only: whoever can write the folder could name another one there, to be told the password.
 */
export async function engineAnswers(
  directory: string,
  { redis }: RedisChoice = {},
  signal?: AbortSignal,
): Promise<readonly EngineAnswer[]> {
  const campaign = await readCampaign(directory);
  const ask = async (engine: EngineId): Promise<readonly EngineAnswer[]> => {
    // also without a mark: its submitter may have been killed before it left one
    if (engine === "redis" && redis !== undefined) return [await redisState(campaign, redis)];
    const mark = await readMark(directory, campaign, engine);
    if (mark === undefined) return [];
    if (engine === "redis") return [unasked(mark)];
    const { running, waiting } = await slurmState(campaign, { signal, seconds: 15 });
    return [{ engine, running, waiting }];
  };
  const asked = ENGINES.map((engine) => ask(engine).catch((error: Error) => [{ engine, error: error.message }]));
  return (await Promise.all(asked)).flat();
}

export interface RedisChoice {
  /** Its URL. */
  readonly redis?: string | undefined;
}

function unasked({ url }: Submission): EngineAnswer {
  return { engine: "redis", error: `a Redis has it, by the mark that of ${url}; give --redis URL to ask it` };
}

/**
 * Take the campaign back from whoever has it; what is done stays. Returns what there was. Throws UsageError where a Redis has it
 * that is not named, AgainError where an engine that has it does not answer.
 */
export async function cancelShards(
  directory: string,
  { redis: url }: RedisChoice = {},
  signal?: AbortSignal,
): Promise<readonly EngineAnswer[]> {
  const campaign = await readCampaign(directory);
  // before Redis: a mark, which may be of long ago, keeps nobody from ending tasks
  const ofSlurm = await cancelAnySlurm(directory, campaign, signal);
  const mark = url === undefined ? await readMark(directory, campaign, "redis") : undefined;
  if (mark !== undefined) {
    throw new UsageError(
      `${directory}: ${ofSlurm === undefined ? "" : "Slurm was asked to end its tasks; "}a Redis has this campaign, by its mark that of ${mark.url}; give --redis URL, or delete submitted/redis.json if that is no more`,
    );
  }
  const ofRedis = url === undefined ? undefined : await cancelRedis({ directory, campaign }, url);
  // that Slurm does not answer matters where nobody else had the campaign
  const matters = ofSlurm?.error === undefined || url === undefined;
  return [ofRedis, matters ? ofSlurm : undefined].filter((answer) => answer !== undefined);
}

/** One whose submitter was killed has left no mark: Slurm is asked where there is one. */
async function cancelAnySlurm(
  directory: string,
  campaign: Campaign,
  signal: AbortSignal | undefined,
): Promise<EngineAnswer | undefined> {
  const mark = await readMark(directory, campaign, "slurm");
  return cancelSlurm({ directory, campaign, signal }).catch((error: unknown) => {
    if (mark === undefined && error instanceof ClientMissing) return undefined;
    if (mark === undefined && error instanceof AgainError) return { engine: "slurm", error: error.message } as const;
    throw error;
  });
}

export interface WorkRequest {
  readonly redis: string;
  readonly threads: number;
  readonly memory?: number | undefined;
  readonly backend?: string | undefined;
  readonly cache?: boolean | undefined;
}

/** What a worker has done, and how far the campaign is then. */
export interface WorkReport
  extends QueueWork,
    Pick<CampaignStatus, "finished" | "units" | "isOver" | "openJobs" | "poisoned"> {}

/** Take indexes from Redis until none is left. */
export async function workShards(
  directory: string,
  request: WorkRequest,
  { signal, note }: { readonly signal: AbortSignal; readonly note: (text: string) => void },
): Promise<WorkReport> {
  const { redis, threads, memory, backend, cache } = request;
  const campaign = await readCampaign(directory);
  const worker = { backend: backend ?? campaign.how.backend, memory, cache, threads };
  const isOpen = async () => {
    const { openJobs, isOver = true } = await campaignStatus(directory);
    return openJobs.length > 0 || !isOver;
  };
  const work = await workFromRedis({ directory: resolve(directory), campaign, worker, signal, note, isOpen }, redis);
  const { finished, units, isOver, openJobs, poisoned } = await campaignStatus(directory);
  return { ...work, finished, units, ...present({ isOver }), openJobs, poisoned };
}
