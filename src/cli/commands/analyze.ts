/** prism analyze: metrics and distortion of every tensor, kept in a file that plans are made from in seconds. */
import { Command } from "commander";
import { writeFileAside } from "../../disk/aside-file.ts";
import { renderAnalysisTable } from "../../report/terminal/analysis-table.ts";
import { analyzeModel } from "../../verbs/analyze.ts";
import { checkOutputs } from "../../verbs/check-outputs.ts";
import { defaultAnalysisPath } from "../../verbs/output-names.ts";
import type { CommandContext } from "../context.ts";
import { calibrationOption, feedbackOption } from "../feedback-options.ts";
import { nextCommand } from "../next-command.ts";
import { addSharedOptions, exactOption, MODEL_ARGUMENT, parseFraction, type SharedOptions } from "../options.ts";
import { openOutput } from "../output.ts";
import { withBench } from "../with-bench.ts";

interface Options extends SharedOptions {
  readonly out?: string;
  readonly imatrix?: string;
  readonly targetSe?: number;
  readonly feedback?: boolean;
  readonly calibration?: string[];
}

export function analyzeCommand(context: CommandContext): Command {
  const command = new Command("analyze")
    .description("measure every tensor: the seven metrics, and the distortion of each type it could take")
    .argument("<model>", MODEL_ARGUMENT)
    .option("-o, --out <file>", "where the analysis goes (default: MODEL.analysis.json in this folder)")
    .option("--imatrix <file>", "importance matrix that weighs the distortion and allows the smallest types")
    .addOption(exactOption())
    .addOption(feedbackOption())
    .addOption(calibrationOption())
    .option(
      "--target-se <fraction>",
      "relative standard error of the distortion to sample until (default: 0.02)",
      (text) => parseFraction("--target-se", text),
    );
  return addSharedOptions(command, "threads", "backend", "memory", "seed", "force-findings", "cache", "force").action(
    (path: string, options: Options) => run(path, options, context),
  );
}

async function run(path: string, options: Options, context: CommandContext): Promise<void> {
  const {
    out: named,
    force,
    targetSe: targetRelativeSe,
    imatrix,
    exact,
    feedback,
    calibration,
    forceFindings,
  } = options;
  const output = openOutput(options);
  const target = named ?? defaultAnalysisPath(path);
  await checkOutputs([target], { inputs: [path, imatrix, ...(calibration ?? [])], force });
  const request = { imatrix, exact, targetRelativeSe, feedback, calibration, forceFindings };
  const work = (bench: Parameters<typeof analyzeModel>[2]) => analyzeModel(path, request, bench);
  const analysis = await withBench(options, context, output, work);
  await writeFileAside(target, `${JSON.stringify(analysis, null, 1)}\n`);
  output.result({
    document: analysis,
    text: (_, width) => `${renderAnalysisTable(analysis, width)}\nwrote ${target}`,
    next: nextCommand("prism", "plan", target, "--like", "Q3_K_M"),
  });
}
