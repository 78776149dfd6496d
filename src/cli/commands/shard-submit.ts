/** prism shard submit: a campaign handed to what starts workers in a lab. */
import { Command, Option } from "commander";
import type { Submission } from "../../shard/submission.ts";
import { type SubmitRequest, submitShards } from "../../verbs/shard-submit.ts";
import type { CommandContext } from "../context.ts";
import { nextCommand } from "../next-command.ts";
import { addSharedOptions, collect, parseInteger, parseMemory, type SharedOptions } from "../options.ts";
import { openOutput } from "../output.ts";
import { REDIS } from "./shard-engines.ts";

interface SubmitOptions
  extends SharedOptions,
    Pick<SubmitRequest, "slurm" | "slurmOption" | "redis" | "k8s" | "image" | "claim" | "out" | "backend"> {}

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
    .option("--k8s", "a manifest for Kubernetes, to be given to kubectl")
    .option("--image <image>", "with --k8s: a container image with prism on its path")
    .addOption(
      new Option(
        "--claim <name=path>",
        "with --k8s: a persistent volume claim, and the folder that it is here; may be repeated",
      ).argParser(collect),
    )
    .option("-o, --out <file>", "with --k8s: where the manifest goes; default: stdout")
    .option("--threads <n>", "processors of a worker; default: what the engine gives", (text) =>
      parseInteger("--threads", text, 1, 1024),
    )
    .option("--memory <size>", "memory of a worker for weights at once; default: 1GiB", parseMemory)
    .option("--backend <name>", "what computes the metrics; default: what the campaign was planned with")
    .option("--no-cache", "workers keep nothing in their caches");
  return addSharedOptions(command, "force").action(async (directory: string, options: SubmitOptions) => {
    const output = openOutput(options);
    const { out, json } = options;
    const handed = await submitShards(directory, options, signal);
    if (handed === undefined) {
      const text = () => "nothing to submit: all units have parts";
      output.result({ document: { indexes: 0 }, text, next: nextCommand("prism", "shard", "status", directory) });
    } else if ("manifest" in handed) {
      const { manifest, text } = handed;
      // as it is: kubectl reads it
      if (out === undefined && !json) process.stdout.write(text);
      else {
        const next = out === undefined ? undefined : nextCommand("kubectl", "apply", "-f", out);
        output.result({
          document: manifest,
          text: () => `wrote ${out}, a Job of ${manifest.spec.completions} pods`,
          next,
        });
      }
    } else output.result({ document: handed, text: () => describe(handed), next: nextOf(directory, handed) });
  });
}

function describe({ indexes, arrays, url }: Submission): string {
  const where =
    arrays === undefined ? `Redis, ${url}` : `Slurm: array ${arrays.join(", ")}, whose logs will be in logs/`;
  return `submitted ${indexes} indexes to ${where}`;
}

function nextOf(directory: string, { url }: Submission): string {
  if (url === undefined) return nextCommand("prism", "shard", "status", directory);
  return nextCommand("prism", "shard", "work", directory, "--redis", url);
}
