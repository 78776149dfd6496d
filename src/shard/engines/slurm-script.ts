/** What a task of the array runs: a script, in which every word from outside is quoted. */
import { quoteSh } from "../../shell-quote.ts";
import type { Campaign } from "../campaign-document.ts";
import { hasOwnIndex, prismWords, type WorkerOptions, workerWords } from "./worker-command.ts";

/** Of an index, in one task; between two the script waits 5 s more each time. */
const MOST_TRIES = 10;

export interface SlurmArray {
  /** Absolute. */
  readonly directory: string;
  readonly campaign: Pick<Campaign, "jobs" | "rounds">;
  /** A task does the index of its number, and every `stride`-th after it. */
  readonly stride: number;
  readonly worker: WorkerOptions;
}

/**
 * A worker that ended for another try (75), or by a signal that nobody sent to end it, is started again: what it had done has
 * parts. Anything else is the task's end. The log is opened here: in names Slurm would read % as its own.
 */
export function slurmScript({ directory, campaign, stride, worker }: SlurmArray): string {
  const words = (list: readonly string[]) => list.map(quoteSh).join(" ");
  return `#!/bin/sh
# made by prism shard submit
directory=${quoteSh(directory)}
log="$directory/logs/slurm-$SLURM_ARRAY_JOB_ID-$SLURM_ARRAY_TASK_ID.log"
# tried in a shell of its own: a log that can't be written would end this one
if (: >>"$log") 2>/dev/null; then exec >>"$log" 2>&1; fi
index=$SLURM_ARRAY_TASK_ID
worst=0
while [ "$index" -lt ${campaign.jobs} ]; do
  tries=1
  while :; do
    ${words([...prismWords(), "shard", "run"])} "$directory"${hasOwnIndex(campaign) ? ' --index "$index"' : ""} \\
      --threads "\${SLURM_CPUS_ON_NODE:-1}" ${words(workerWords(worker))}
    code=$?
    echo "index $index, try $tries on $(hostname): exit $code"
    if [ "$code" -ne 75 ]; then
      if [ "$code" -le 128 ] || [ "$code" -eq 130 ] || [ "$code" -eq 143 ]; then break; fi
    fi
    if [ "$tries" -ge ${MOST_TRIES} ]; then break; fi
    sleep $((5 * tries))
    tries=$((tries + 1))
  done
  if [ "$code" -ne 0 ]; then worst=$code; fi
  index=$((index + ${stride}))
done
exit "$worst"
`;
}

/** Ascending numbers as sbatch reads them: 0-3,7. */
export function ranges(numbers: readonly number[]): string {
  const found: [number, number][] = [];
  for (const number of numbers) {
    const last = found.at(-1);
    if (last?.[1] === number - 1) last[1] = number;
    else found.push([number, number]);
  }
  return found.map(([from, to]) => (from === to ? `${from}` : `${from}-${to}`)).join(",");
}
