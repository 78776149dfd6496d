/** prism shard: the work on one model by many machines, started by whatever the lab has. */
import { Command } from "commander";
import { EXIT } from "../../errors.ts";
import type { Evaluation } from "../../evaluate/evaluation.ts";
import { describeHole } from "../../imatrix/coverage.ts";
import type { ImatrixFile } from "../../imatrix/describe-imatrix.ts";
import { printable } from "../../plan/printable.ts";
import { renderEvaluation } from "../../report/terminal/evaluation-table.ts";
import { type Campaign, MOST_JOBS } from "../../shard/campaign-document.ts";
import { ROUND_WAIT_SECONDS } from "../../shard/round-wait.ts";
import { type CampaignStatus, campaignStatus } from "../../shard/status.ts";
import type { UnitFault, WorkDone } from "../../shard/work.ts";
import { mergeShards, retryShards, runShard } from "../../verbs/shard.ts";
import { type EngineAnswer, engineAnswers, type RedisChoice } from "../../verbs/shard-engines.ts";
import type { CommandContext } from "../context.ts";
import { nextCommand } from "../next-command.ts";
import { addSharedOptions, parseInteger, type SharedOptions } from "../options.ts";
import { openOutput } from "../output.ts";
import { withBench } from "../with-bench.ts";
import { cancelCommand, describeAnswer, REDIS, workCommand } from "./shard-engines.ts";
import { planCommand } from "./shard-plan.ts";
import { submitCommand } from "./shard-submit.ts";

const DIRECTORY = "the folder of the campaign";

export function shardCommand(context: CommandContext): Command {
  const command = new Command("shard").description(
    "analyze a large model on many machines: a campaign, run by index, merged bit for bit",
  );
  const create = [
    planCommand,
    submitCommand,
    workCommand,
    runCommand,
    statusCommand,
    retryCommand,
    cancelCommand,
    mergeCommand,
  ];
  for (const one of create) command.addCommand(one(context));
  return command;
}

interface RunOptions extends SharedOptions {
  readonly index?: number;
  readonly wait?: number;
}

function runCommand(context: CommandContext): Command {
  const command = new Command("run")
    .description("do the units of an index that have no part yet; without --index all that nobody does")
    .argument("<folder>", DIRECTORY)
    .option("--index <n>", "which job, from 0 ($SLURM_ARRAY_TASK_ID)", (text) =>
      parseInteger("--index", text, 0, MOST_JOBS - 1),
    )
    .option(
      "--wait <seconds>",
      `with probes: how long a round is waited for that nobody works at (default: ${ROUND_WAIT_SECONDS})`,
      (text) => parseInteger("--wait", text, 0, 1e6),
    );
  return addSharedOptions(command, "threads", "backend", "memory", "cache").action(
    async (directory: string, options: RunOptions) => {
      endWithStarter();
      const output = openOutput(options);
      const done = await withBench(options, context, output, (bench) =>
        runShard(directory, options.index, bench, options.wait),
      );
      output.result({ document: done, text: () => describeWork(done), next: nextOf(directory, done) });
      if (mayGoOn(done)) process.exitCode = EXIT.again;
      else if (done.poisoned.length > 0) process.exitCode = EXIT.incomplete;
    },
  );
}

/** A worker that was started over a channel (prism shard work) ends with whoever started it. */
function endWithStarter(): void {
  if (process.channel === undefined) return;
  process.once("disconnect", () => process.kill(process.pid, "SIGTERM"));
  process.channel.unref();
}

/** There is something to do yet, be it by others, besides what was given up. */
function mayGoOn({ finished, units, failed, poisoned, waiting }: WorkDone): boolean {
  return waiting !== undefined || failed.length > 0 || finished + poisoned.length < units;
}

function describeWork({ done, finished, units, failed, poisoned, waiting }: WorkDone): string {
  return [
    `${done} units done; ${finished} of ${units} have parts`,
    ...(waiting === undefined ? [] : [`units that others have to do first: ${waiting}; the same command goes on then`]),
    ...failed.map(({ name, error }) => printable(`! ${name} failed: ${error}`)),
    ...poisoned.map(describePoison),
  ].join("\n");
}

const describePoison = ({ name, error }: UnitFault) => printable(`! ${name} was given up: ${error}`);

function nextOf(directory: string, done: WorkDone): string {
  if (mayGoOn(done)) return nextCommand("prism", "shard", "run", directory);
  return nextCommand("prism", "shard", done.poisoned.length > 0 ? "retry" : "status", directory);
}

/** What stages make, where it is not called as the stage is. */
const NOUNS: Partial<Record<Campaign["stage"], string>> = {
  quantize: "quantized file",
  imatrix: "importance matrix",
  probes: "densities",
};

interface MergeOptions extends SharedOptions {
  readonly out: string;
}

function mergeCommand(context: CommandContext): Command {
  const command = new Command("merge")
    .description("write the result of all parts, as one machine would have made it")
    .argument("<folder>", DIRECTORY)
    .requiredOption("-o, --out <file>", "where the result goes");
  return addSharedOptions(command, "force").action(async (directory: string, options: MergeOptions) => {
    const output = openOutput(options);
    const { out, force } = options;
    const { campaign, parts, document } = await withBench(options, context, output, (bench) =>
      mergeShards(directory, { output: out, force }, bench),
    );
    output.result({
      document,
      text: (_, width) =>
        [
          `wrote ${out}: the ${NOUNS[campaign.stage] ?? campaign.stage} of ${campaign.model.path}, of ${parts} parts`,
          ...(campaign.stage === "evaluation" ? [renderEvaluation(document as Evaluation, width)] : []),
          ...(campaign.stage === "imatrix" ? describeHoles(document as ImatrixFile) : []),
        ].join("\n"),
      next: nextOfMerge(campaign, document, out),
    });
  });
}

const describeHoles = ({ holes }: ImatrixFile) => holes.map((hole) => printable(`! ${describeHole(hole)}`));

function nextOfMerge({ stage, model }: Campaign, document: unknown, out: string): string {
  if (stage === "evaluation") return nextCommand("prism", "run", model.path, "--like", "Q3_K_M");
  if (stage === "imatrix") return nextCommand("prism", "plan", model.path, "--imatrix", out);
  if (stage === "quantize") return nextCommand("llama-cli", "-m", (document as { readonly path: string }).path);
  if (stage === "probes") return nextCommand("prism", "plan", model.path, "--like", "Q3_K_M", "--sensitivity", out);
  return nextCommand("prism", "plan", out, "--like", "Q3_K_M");
}

function statusCommand({ signal }: CommandContext): Command {
  const command = new Command("status")
    .description("how far the campaign is, what failed and what was given up")
    .argument("<folder>", DIRECTORY)
    .option("--redis <url>", `${REDIS}: asked too`);
  return addSharedOptions(command).action(async (directory: string, options: SharedOptions & RedisChoice) => {
    const output = openOutput(options);
    const status = await campaignStatus(directory);
    const engines = await engineAnswers(directory, options, signal);
    output.result({
      document: { ...status, engines },
      text: () => describeStatus(status, engines),
      // what an engine has is waited for
      next: engines.some(({ running = 0, waiting = 0 }) => running + waiting > 0)
        ? nextCommand("prism", "shard", "status", directory)
        : nextOfStatus(directory, status),
    });
  });
}

/** Indexes named in a line. */
const SHOWN_JOBS = 12;

function describeStatus(status: CampaignStatus, engines: readonly EngineAnswer[]): string {
  const { stage, model, units, finished, underWay, openJobs, jobs, poisoned, lost, hosts, round, isOver } = status;
  const shown = openJobs.slice(0, SHOWN_JOBS).join(", ");
  const more = openJobs.length > SHOWN_JOBS ? `, and ${openJobs.length - SHOWN_JOBS} more` : "";
  return [
    `${stage} of ${model}: ${finished} of ${units} units have parts`,
    ...(round === undefined ? [] : [isOver ? `round ${round} was the last` : `round ${round}, and not the last`]),
    ...(underWay > 0 ? [`${underWay} are under way on ${hosts.join(", ")}`] : []),
    ...(openJobs.length > 0 ? [`open: ${openJobs.length} of ${jobs} jobs (${shown}${more})`] : []),
    ...engines.map(describeAnswer),
    ...(lost > 0 ? [`${lost} attempts failed or died`] : []),
    ...poisoned.map(describePoison),
  ].join("\n");
}

/** Files that are no documents. */
const RESULTS: Partial<Record<string, string>> = {
  quantize: "model.gguf",
  imatrix: "imatrix.gguf",
  probes: "probes.json",
};

function nextOfStatus(
  directory: string,
  { stage, finished, units, poisoned, openJobs, isOver }: CampaignStatus,
): string {
  const result = RESULTS[stage] ?? "result.json";
  if (finished === units && isOver !== false) return nextCommand("prism", "shard", "merge", directory, "-o", result);
  const verb = openJobs.length === 0 && poisoned.length > 0 ? "retry" : "run";
  return nextCommand("prism", "shard", verb, directory);
}

function retryCommand(): Command {
  const command = new Command("retry")
    .description("let units be tried again that were given up")
    .argument("<folder>", DIRECTORY);
  return addSharedOptions(command).action(async (directory: string, options: SharedOptions) => {
    const output = openOutput(options);
    const units = await retryShards(directory);
    output.result({
      document: { retried: units },
      text: () => `${units} units may be tried again`,
      next: nextCommand("prism", "shard", "run", directory),
    });
  });
}
