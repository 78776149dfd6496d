/** prism analyze: metrics and distortion of every tensor, kept in a file that plans are made from in seconds. */
import { Command } from "commander";
import { writeFileAside } from "../../disk/aside-file.ts";
import { renderAnalysisTable } from "../../report/terminal/analysis-table.ts";
import { type AnalyzeModelOptions, analyzeModel } from "../analyze-model.ts";
import type { CommandContext } from "../context.ts";
import { nextCommand } from "../next-command.ts";
import {
  backendOption,
  type Exact,
  exactOption,
  forceOption,
  jsonOption,
  MODEL_ARGUMENT,
  memoryOption,
  noCacheOption,
  parseFraction,
  quietOption,
  seedOption,
  threadsOption,
} from "../options.ts";
import { openOutput } from "../output.ts";
import { checkOutputs } from "../output-files.ts";
import { defaultAnalysisPath } from "../output-names.ts";

interface AnalyzeCliOptions extends Pick<AnalyzeModelOptions, "threads" | "backend" | "seed" | "imatrix" | "cache"> {
  readonly output?: string;
  readonly exact?: Exact;
  readonly memory: number;
  readonly targetSe?: number;
  readonly force?: boolean;
  readonly json?: boolean;
  readonly quiet?: boolean;
}

export function analyzeCommand(context: CommandContext): Command {
  return new Command("analyze")
    .description("measure every tensor: the seven metrics, and the distortion of each type it could take")
    .argument("<model>", MODEL_ARGUMENT)
    .option("-o, --output <file>", "where the analysis goes (default: MODEL.analysis.json in this folder)")
    .option("--imatrix <file>", "importance matrix that weighs the distortion and allows the smallest types")
    .addOption(exactOption())
    .option(
      "--target-se <fraction>",
      "relative standard error of the distortion to sample until (default: 0.02)",
      (text) => parseFraction("--target-se", text),
    )
    .addOption(threadsOption())
    .addOption(backendOption())
    .addOption(memoryOption())
    .addOption(seedOption())
    .addOption(noCacheOption())
    .addOption(forceOption())
    .addOption(jsonOption())
    .addOption(quietOption())
    .action((path: string, options: AnalyzeCliOptions) => runAnalyze(path, options, context));
}

async function runAnalyze(path: string, options: AnalyzeCliOptions, context: CommandContext): Promise<void> {
  const { output: named, exact, force = false, targetSe, threads, backend, seed, imatrix, cache, memory } = options;
  const output = openOutput(options);
  const target = named ?? defaultAnalysisPath(path);
  await checkOutputs([target], force);
  const analysis = await analyzeModel(
    path,
    {
      threads,
      backend,
      seed,
      cache,
      memoryBytes: memory,
      ...(imatrix === undefined ? {} : { imatrix }),
      ...(targetSe === undefined ? {} : { targetRelativeSe: targetSe }),
      ...exact,
    },
    context,
    output,
  );
  await writeFileAside(target, `${JSON.stringify(analysis, null, 1)}\n`);
  output.result({
    document: analysis,
    text: () => `${renderAnalysisTable(analysis)}\nwrote ${target}`,
    next: nextCommand("prism", "plan", target, "--like", "Q3_K_M"),
  });
}
