/** Slurm: an array over the open indexes. Its name is the campaign's, so that it is found whoever submitted it. */
import { join } from "node:path";
import { makeFolder } from "../../disk/aside-file.ts";
import { AgainError, UsageError } from "../../errors.ts";
import type { Campaign } from "../campaign-document.ts";
import { engineName, removeMark, type Submission, withSubmissionLock, writeMark } from "../submission.ts";
import type { EngineState, Handover } from "./engine.ts";
import { ClientRefusal, type Patience, runClient } from "./run-client.ts";
import { ranges, slurmScript } from "./slurm-script.ts";

/** What Slurm has where nobody said otherwise. */
const DEFAULT_ARRAY_SIZE = 1001;

export interface SlurmRequest {
  /** Of each task; absent: what Slurm gives. */
  readonly threads?: number | undefined;
  /** For sbatch, as they are. */
  readonly options?: readonly string[] | undefined;
}

/** Hand the open indexes to Slurm. Throws UsageError where they are there already, or where Slurm refuses. */
export async function submitToSlurm(handover: Handover, request: SlurmRequest): Promise<Submission> {
  const { directory, campaign, indexes, worker, signal } = handover;
  const options = sbatchOptions(request.options);
  return withSubmissionLock(directory, async () => {
    await requireNone(handover);
    await makeFolder(join(directory, "logs"));
    const stride = Math.min(await largestArray(signal), campaign.jobs);
    const tasks = [...new Set(indexes.map((index) => index % stride))].sort((a, b) => a - b);
    const own = [
      "--parsable",
      `--job-name=${engineName(campaign)}`,
      `--array=${ranges(tasks)}`,
      "--requeue",
      "--output=/dev/null",
    ];
    const threads = request.threads === undefined ? [] : [`--cpus-per-task=${request.threads}`];
    const input = slurmScript({ directory, campaign, stride, worker });
    // of one option given twice sbatch takes the last: the campaign's own can't be changed
    const words = [...threads, ...options, ...own];
    const answer = await runClient("sbatch", words, { input, signal }).catch(refused("the array"));
    const array = answer.trim().split(";")[0] as string;
    return writeMark(directory, campaign, { engine: "slurm", indexes: indexes.length, arrays: [array] });
  });
}

/** One word each: what begins with no dash would be taken for the script. */
function sbatchOptions(options: readonly string[] = []): readonly string[] {
  const wrong = options.find((option) => !/^(--[\w-]+(=.*)?|-[A-Za-z].*)$/su.test(option));
  if (wrong === undefined) return options;
  throw new UsageError(
    `--slurm-option ${JSON.stringify(wrong)}: expected one option of sbatch with its value, like --slurm-option=--partition=gpu`,
  );
}

/** Throws UsageError where tasks of the campaign wait or run, and leaves a mark of them. */
async function requireNone({ directory, campaign, signal }: Handover): Promise<void> {
  const { arrays, running, waiting } = await slurmState(campaign, { signal });
  if (arrays.length === 0) return;
  await writeMark(directory, campaign, { engine: "slurm", indexes: running + waiting, arrays });
  throw new UsageError(
    `Slurm has this campaign already: array ${arrays.join(", ")}, ${running} tasks running, ${waiting} waiting; let them end, or give prism shard cancel ${directory}`,
  );
}

const refused = (what: string) => (error: unknown) => {
  if (!(error instanceof ClientRefusal)) throw error;
  throw new UsageError(`Slurm refused ${what}:\n${error.message}`);
};

/** Tasks of an array; its numbers are below that. */
async function largestArray(signal: AbortSignal | undefined): Promise<number> {
  const configuration = await runClient("scontrol", ["show", "config"], { signal }).catch(() => "");
  const [, size = DEFAULT_ARRAY_SIZE] = /^MaxArraySize\s*=\s*(\d+)$/m.exec(configuration) ?? [];
  return Math.max(1, Number(size));
}

/** What waits and runs of the campaign. Throws AgainError where Slurm does not answer. */
export async function slurmState(
  campaign: Campaign,
  patience: Patience,
): Promise<EngineState & { readonly arrays: readonly string[] }> {
  const words = ["--noheader", "--array", `--name=${engineName(campaign)}`, "--format=%F %t"];
  const answer = await runClient("squeue", words, patience).catch((error: unknown) => {
    if (!(error instanceof ClientRefusal)) throw error;
    throw new AgainError(`Slurm does not answer: ${error.message}`);
  });
  const tasks = answer.split("\n").flatMap((line) => {
    const [array, state] = line.trim().split(/\s+/);
    // CG: its processes are ended
    return array === undefined || state === undefined || state === "CG" ? [] : [{ array, state }];
  });
  const waiting = tasks.filter(({ state }) => state === "PD").length;
  const arrays = [...new Set(tasks.map(({ array }) => array))];
  return { engine: "slurm", running: tasks.length - waiting, waiting, arrays };
}

/** Take the campaign back. Returns what there was; undefined: nothing. */
export async function cancelSlurm({
  directory,
  campaign,
  signal,
}: Pick<Handover, "directory" | "campaign" | "signal">): Promise<EngineState | undefined> {
  return withSubmissionLock(directory, async () => {
    const { arrays, ...state } = await slurmState(campaign, { signal });
    if (arrays.length > 0) await runClient("scancel", arrays, { signal }).catch(refused("to cancel"));
    await removeMark(directory, "slurm");
    return arrays.length > 0 ? state : undefined;
  });
}
