/** prism shard submit and cancel: a campaign handed to what starts workers in a lab, and taken back. */
import { Command, Option } from "commander";
import type { Submission } from "../../shard/submission.ts";
import { cancelShards, type EngineAnswer, type SubmitRequest, submitShards } from "../../verbs/shard-submit.ts";
import type { CommandContext } from "../context.ts";
import { nextCommand } from "../next-command.ts";
import { addSharedOptions, collect, parseInteger, parseMemory, type SharedOptions } from "../options.ts";
import { openOutput } from "../output.ts";

interface SubmitOptions extends SharedOptions, Pick<SubmitRequest, "slurm" | "slurmOption" | "backend"> {}

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
      next: nextCommand("prism", "shard", "status", directory),
    });
  });
}

/** Engines, as people call them. */
const NAMES = { slurm: "Slurm", redis: "Redis" } as const;

function describe({ engine, indexes, arrays = [] }: Submission): string {
  return `submitted ${indexes} indexes to ${NAMES[engine]}: array ${arrays.join(", ")}, whose logs will be in logs/`;
}

export function describeAnswer({ engine, running = 0, waiting = 0, error }: EngineAnswer): string {
  if (error !== undefined) return `! ${error}`;
  return `${NAMES[engine]}: ${running} running, ${waiting} waiting`;
}

export function cancelCommand({ signal }: CommandContext): Command {
  const command = new Command("cancel")
    .description("take the campaign back from what it was submitted to; parts stay")
    .argument("<folder>", "the folder of the campaign");
  return addSharedOptions(command).action(async (directory: string, options: SharedOptions) => {
    const output = openOutput(options);
    const cancelled = await cancelShards(directory, signal);
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
