/** prism shard work and cancel: a worker of a queue, and a campaign taken back; and what engines say. */
import { Command } from "commander";
import { EXIT } from "../../errors.ts";
import { printable } from "../../plan/printable.ts";
import { cancelShards, type EngineAnswer, type WorkReport, workShards } from "../../verbs/shard-engines.ts";
import type { CommandContext } from "../context.ts";
import { nextCommand } from "../next-command.ts";
import { addSharedOptions, parseMemory, type SharedOptions } from "../options.ts";
import { openOutput } from "../output.ts";

export const REDIS = "the queue of a Redis, redis://host:port; its password is in the URL or in PRISM_REDIS_PASSWORD";

/** Engines, as people call them. */
const NAMES = { slurm: "Slurm", redis: "Redis" } as const;

export function describeAnswer({ engine, running = 0, waiting = 0, error }: EngineAnswer): string {
  if (error !== undefined) return printable(`! ${error}`);
  return `${NAMES[engine]}: ${running} running, ${waiting} waiting`;
}

interface CancelOptions extends SharedOptions {
  readonly redis?: string;
}

export function cancelCommand({ signal }: CommandContext): Command {
  const command = new Command("cancel")
    .description("take the campaign back from what it was submitted to; parts stay")
    .argument("<folder>", "the folder of the campaign")
    .option("--redis <url>", REDIS);
  return addSharedOptions(command).action(async (directory: string, options: CancelOptions) => {
    const output = openOutput(options);
    const cancelled = await cancelShards(directory, options, signal);
    output.result({
      document: { cancelled },
      text: () => cancelled.map(describeCancelled).join("\n") || "nothing of this campaign waits or runs",
      next: nextCommand("prism", "shard", "status", directory),
    });
  });
}

function describeCancelled(answer: EngineAnswer): string {
  const { engine, running = 0, waiting = 0, error } = answer;
  if (error !== undefined) return describeAnswer(answer);
  return `cancelled ${running + waiting} tasks of ${NAMES[engine]}, of which ${running} were running`;
}

interface WorkOptions extends SharedOptions {
  readonly redis: string;
  readonly threads: number;
}

export function workCommand({ signal }: CommandContext): Command {
  const command = new Command("work")
    .description("take indexes from Redis, one at a time, until none is left")
    .argument("<folder>", "the folder of the campaign")
    .requiredOption("--redis <url>", REDIS)
    .option("--backend <name>", "what computes the metrics; default: what the campaign was planned with")
    .option("--memory <size>", "memory for weights at once; default: 1GiB", parseMemory);
  return addSharedOptions(command, "threads", "cache").action(async (directory: string, options: WorkOptions) => {
    const output = openOutput(options);
    const report = await workShards(directory, options, { signal, note: output.note });
    output.result({ document: report, text: () => describeReport(report), next: nextOfWork(directory, report) });
    const { finished, units, isOver = true, openJobs, poisoned } = report;
    if (finished === units && isOver) return;
    process.exitCode = openJobs.length === 0 && poisoned.length > 0 ? EXIT.incomplete : EXIT.again;
  });
}

function describeReport({ done, refused, cancelled, finished, units, openJobs, poisoned }: WorkReport): string {
  return [
    `${done} indexes done here; ${finished} of ${units} units have parts`,
    ...(refused > 0 ? [`! ${refused} jobs were none of this campaign's`] : []),
    ...(cancelled ? ["! the campaign was taken back"] : []),
    ...(openJobs.length > 0 && !cancelled ? [`! ${openJobs.length} indexes are open, and none is in the queue`] : []),
    ...(poisoned.length > 0 ? [`! ${poisoned.length} units were given up`] : []),
  ].join("\n");
}

function nextOfWork(directory: string, { openJobs, poisoned }: WorkReport): string {
  const verb = openJobs.length === 0 && poisoned.length > 0 ? "retry" : "status";
  return nextCommand("prism", "shard", verb, directory);
}
