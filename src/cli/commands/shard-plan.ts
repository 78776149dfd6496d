/** prism shard plan: what is to be done, with the options of every stage. */
import { Command, Option } from "commander";
import { DEFAULT_PROBES } from "../../run/run-request.ts";
import { MOST_JOBS } from "../../shard/campaign-document.ts";
import { planShards } from "../../verbs/shard.ts";
import { DEFAULT_ROUND } from "../../verbs/shard-probes.ts";
import { SHARDED_STAGES, type StageRequest } from "../../verbs/shard-stages.ts";
import type { CommandContext } from "../context.ts";
import { calibrationOption } from "../feedback-options.ts";
import { nextCommand } from "../next-command.ts";
import {
  addSharedOptions,
  exactOption,
  MODEL_ARGUMENT,
  parseFraction,
  parseInteger,
  type SharedOptions,
} from "../options.ts";
import { openOutput } from "../output.ts";
import { keepSplitOption, splitMaxSizeOption } from "../split-options.ts";
import { addTextOptions } from "../text-options.ts";
import { withBench } from "../with-bench.ts";

interface PlanOptions extends SharedOptions, Omit<StageRequest, "targetRelativeSe" | "exact" | "forceFindings"> {
  readonly dir: string;
  readonly jobs: number;
  readonly targetSe?: number;
}

export function planCommand(context: CommandContext): Command {
  const command = new Command("plan")
    .description("cut the work into units, and those into jobs")
    .argument("<model>", MODEL_ARGUMENT)
    .requiredOption("--dir <folder>", "a new folder that all machines see")
    .requiredOption("--jobs <n>", "indexes to run, at most", (text) => parseInteger("--jobs", text, 1, MOST_JOBS))
    .addOption(
      new Option(
        "--stage <stage>",
        "what is done: analysis, imatrix, probes, feedback (what it leaves of errors), quantize with the file of a plan, or evaluation of files",
      )
        .choices(SHARDED_STAGES)
        .default("analysis"),
    )
    .option("--imatrix <file>", "importance matrix that weighs the distortion and allows the smallest types")
    .addOption(exactOption())
    .option(
      "--target-se <fraction>",
      "relative standard error of the distortion to sample until (default: 0.02)",
      (text) => parseFraction("--target-se", text),
    )
    .option("--plan <plan.json>", "with --stage quantize: the plan of the file")
    .addOption(splitMaxSizeOption())
    .addOption(keepSplitOption())
    .option("--allow-requantize", "with --stage quantize: accept a source that is already quantized")
    .option("--feedback", "with --stage quantize: choose the codes with error feedback, layer by layer")
    .addOption(calibrationOption())
    .option("--head", "with --stage imatrix: also for the output head")
    .option(
      "--probes <n>",
      `with --stage probes: groups of tensors to degrade, at most (default: ${DEFAULT_PROBES})`,
      (text) => parseInteger("--probes", text, 1, 1e5),
    )
    .option(
      "--round <n>",
      `with --stage probes: groups that are chosen at a time (default: ${DEFAULT_ROUND})`,
      (text) => parseInteger("--round", text, 1, MOST_JOBS),
    )
    .option(
      "--analysis <file>",
      "with --stage probes or feedback: the analysis of the model; default: it is analyzed now",
    )
    .option("--candidate <file...>", "with --stage evaluation: files that are compared with the model")
    .option(
      "--kinds [file...]",
      "with --stage evaluation: judge by kind of text too: a file a kind; default: prism's own",
    )
    .option(
      "--kv <type>",
      "with --stage evaluation: judge with caches of this type too, like q8_0, or of each: q8_0,q4_0",
    );
  addTextOptions(
    command,
    "with --stage imatrix, probes or evaluation: the text; default but for the last: the one that comes with PRISM",
    "chunks of the text that are read: from its beginning (default of imatrix: all), of probes from its end (default: 16 at most)",
  );
  return addSharedOptions(command, "backend", "seed", "threads", "cache", "force-findings").action(
    async (model: string, options: PlanOptions) => {
      const output = openOutput(options);
      const { dir: directory, targetSe: targetRelativeSe } = options;
      const request = { ...options, directory, targetRelativeSe };
      const campaign = await withBench(options, context, output, (bench) => planShards(model, request, bench));
      output.result({
        document: campaign,
        text: () =>
          `${directory}: ${campaign.units.length} units${campaign.rounds ? " in the first round," : ""} in ${campaign.jobs} jobs, indexes 0 to ${campaign.jobs - 1}`,
        next: nextCommand("prism", "shard", "run", directory, "--index", "0"),
      });
    },
  );
}
