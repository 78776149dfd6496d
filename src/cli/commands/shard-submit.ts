/** prism shard submit and cancel: a campaign handed to what starts workers in a lab, and taken back. */
import { Command, Option } from "commander";
import { EXIT } from "../../errors.ts";
import type { Submission } from "../../shard/submission.ts";
import {
  cancelShards,
  type EngineAnswer,
  type SubmitRequest,
  submitShards,
  type WorkReport,
  workShards,
} from "../../verbs/shard-submit.ts";
import type { CommandContext } from "../context.ts";
import { nextCommand } from "../next-command.ts";
import { addSharedOptions, collect, parseInteger, parseMemory, type SharedOptions } from "../options.ts";
import { openOutput } from "../output.ts";

interface SubmitOptions extends SharedOptions, Pick<SubmitRequest, "slurm" | "slurmOption" | "redis" | "backend"> {}

export function submitCommand({ signal }: CommandContext): Command {
  const command = new Command("submit")
    .description("hand the open indexes to what starts workers here")
    .argument("<folder>", "the folder of the campaign, by the path that all machines know it by")
    .option("--slurm", "an array of Slurm, whose commands are on this machine")
    .addOption(
      new Option(
        "--slurm-option <option>",
        "for sbatch, like --slurm-option=--partition=gpu; may be repeated",
      ).argParser(collect),
    )
    .option("--redis <url>", REDIS)
    .option("--threads <n>", "processors of a worker; default: what the engine gives", (text) =>
      parseInteger("--threads", text, 1, 1024),
    )
    .option("--memory <size>", "memory of a worker for weights at once; default: 1GiB", parseMemory)
    .option("--backend <name>", "what computes the metrics; default: what the campaign was planned with")
    .option("--no-cache", "workers keep nothing in their caches");
  return addSharedOptions(command).action(async (directory: string, options: SubmitOptions) => {
    const output = openOutput(options);
    const submission = await submitShards(directory, options, signal);
    output.result({
      document: submission ?? { indexes: 0 },
      text: () => (submission === undefined ? "nothing to submit: all units have parts" : describe(submission)),
      next:
        submission?.url === undefined
          ? nextCommand("prism", "shard", "status", directory)
          : nextCommand("prism", "shard", "work", directory, "--redis", submission.url),
    });
  });
}

const REDIS = "the queue of a Redis, redis://host:port; its password is in the URL or in PRISM_REDIS_PASSWORD";

/** Engines, as people call them. */
const NAMES = { slurm: "Slurm", redis: "Redis" } as const;

function describe({ indexes, arrays, url }: Submission): string {
  const where =
    arrays === undefined ? `Redis, ${url}` : `Slurm: array ${arrays.join(", ")}, whose logs will be in logs/`;
  return `submitted ${indexes} indexes to ${where}`;
}

export function describeAnswer({ engine, running = 0, waiting = 0, error }: EngineAnswer): string {
  if (error !== undefined) return `! ${error}`;
  return `${NAMES[engine]}: ${running} running, ${waiting} waiting`;
}

export function cancelCommand({ signal }: CommandContext): Command {
  const command = new Command("cancel")
    .description("take the campaign back from what it was submitted to; parts stay")
    .argument("<folder>", "the folder of the campaign")
    .option("--redis <url>", `${REDIS}; default: the one it was submitted to`);
  return addSharedOptions(command).action(async (directory: string, options: SubmitOptions) => {
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
