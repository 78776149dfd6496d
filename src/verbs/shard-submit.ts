/** A campaign handed to what starts workers in a lab, asked about there, and taken back. */
import { resolve } from "node:path";
import { AgainError, IncompleteError, UsageError } from "../errors.ts";
import { readCampaign } from "../shard/campaign.ts";
import type { EngineState, Handover } from "../shard/engines/engine.ts";
import { ClientMissing } from "../shard/engines/run-client.ts";
import { cancelSlurm, slurmState, submitToSlurm } from "../shard/engines/slurm.ts";
import { campaignStatus } from "../shard/status.ts";
import { readMark, type Submission } from "../shard/submission.ts";
import { refuseOptions } from "./given-option.ts";

export interface SubmitRequest {
  readonly slurm?: boolean | undefined;
  /** For sbatch. */
  readonly slurmOption?: readonly string[] | undefined;
  readonly threads?: number | undefined;
  readonly memory?: number | undefined;
  readonly backend?: string | undefined;
  readonly cache?: boolean | undefined;
}

/**
 * Hand over the indexes that are open; undefined where none is. Throws UsageError where the engine has them already,
 * IncompleteError where all that is left was given up.
 */
export async function submitShards(
  directory: string,
  request: SubmitRequest,
  signal?: AbortSignal,
): Promise<Submission | undefined> {
  const { slurm, slurmOption, threads, memory, backend, cache } = request;
  if (!slurm) {
    refuseOptions({ "--slurm-option": slurmOption }, "it is of --slurm");
    throw new UsageError("name what is to start the workers: --slurm");
  }
  const campaign = await readCampaign(directory);
  const { openJobs, poisoned, isOver = true } = await campaignStatus(directory);
  // of rounds that are not decided anything may be open
  const indexes = isOver ? openJobs : Array.from({ length: campaign.jobs }, (_, index) => index);
  if (openJobs.length === 0 && (isOver || poisoned.length > 0)) {
    if (poisoned.length === 0) return undefined;
    throw new IncompleteError(
      `${directory}: nothing is open, and ${poisoned.length} units were given up (prism shard status names them); give prism shard retry ${directory} first`,
    );
  }
  const worker = { backend: backend ?? campaign.how.backend, memory, cache };
  const handover: Handover = { directory: resolve(directory), campaign, indexes, worker, signal };
  return submitToSlurm(handover, { threads, options: slurmOption });
}

/** What an engine says of a campaign that it was handed, or why it says nothing. */
export interface EngineAnswer extends Partial<EngineState> {
  readonly engine: EngineState["engine"];
  readonly error?: string;
}

/** Of all engines that have left a mark. Never throws: they may be of other machines. */
export async function engineAnswers(directory: string, signal?: AbortSignal): Promise<readonly EngineAnswer[]> {
  const campaign = await readCampaign(directory);
  const answer = async (): Promise<EngineAnswer | undefined> => {
    if ((await readMark(directory, campaign, "slurm")) === undefined) return undefined;
    const { engine, running, waiting } = await slurmState(campaign, { signal, seconds: 15 });
    return { engine, running, waiting };
  };
  const found = await answer().catch((error: Error): EngineAnswer => ({ engine: "slurm", error: error.message }));
  return found === undefined ? [] : [found];
}

/**
 * Take the campaign back from whoever has it; what is done stays. Returns what there was. Throws AgainError where an engine
 * that has it does not answer.
 */
export async function cancelShards(directory: string, signal?: AbortSignal): Promise<readonly EngineAnswer[]> {
  const campaign = await readCampaign(directory);
  // one whose submitter was killed has left no mark: Slurm is asked where there is one
  const mark = await readMark(directory, campaign, "slurm");
  const cancelled = await cancelSlurm({ directory, campaign, signal }).catch((error: unknown) => {
    if (mark === undefined && error instanceof ClientMissing) return undefined;
    if (mark === undefined && error instanceof AgainError) return { engine: "slurm", error: error.message } as const;
    throw error;
  });
  return cancelled === undefined ? [] : [cancelled];
}
