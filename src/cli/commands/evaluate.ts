/** prism evaluate: perplexity, and KL divergence against a reference. */
import { Command } from "commander";
import { writeFileAside } from "../../aside-file.ts";
import { openEngine } from "../../engine/open-engine.ts";
import { UsageError } from "../../errors.ts";
import { evaluate } from "../../evaluate/evaluate.ts";
import { openLocalModel } from "../../gguf/open.ts";
import { renderEvaluation } from "../../report/terminal/evaluation-table.ts";
import type { CommandContext } from "../context.ts";
import { addEvaluationOptions, type EvaluationCliOptions, evaluationSettings } from "../evaluation-options.ts";
import { nextCommand } from "../next-command.ts";
import { forceOption, jsonOption, llamaDirOption, quietOption, seedOption, threadsOption } from "../options.ts";
import { openOutput, type Progress } from "../output.ts";
import { checkOutputs } from "../output-files.ts";

interface Options extends EvaluationCliOptions {
  readonly reference?: string;
  readonly output?: string;
  readonly threads: number;
  readonly seed: number;
  readonly llamaDir?: string;
  readonly force?: boolean;
  readonly json?: boolean;
  readonly quiet?: boolean;
}

export function evaluateCommand(context: CommandContext): Command {
  const command = new Command("evaluate")
    .description("perplexity of models, and their KL divergence from a reference")
    .argument("<model...>", "GGUF files to judge")
    .option("--reference <model>", "the unquantized model; without it only perplexity is measured")
    .option("-o, --output <file>", "also write the evaluation as JSON to this file");
  return addEvaluationOptions(command)
    .addOption(seedOption())
    .addOption(threadsOption())
    .addOption(llamaDirOption())
    .addOption(forceOption())
    .addOption(jsonOption())
    .addOption(quietOption())
    .action((models: string[], options: Options) => run(models, options, context));
}

async function run(models: string[], options: Options, { signal }: CommandContext): Promise<void> {
  const output = openOutput(options);
  if (options.output !== undefined) await checkOutputs([options.output], options.force ?? false);
  if (options.reference === undefined && options.text === undefined) {
    throw new UsageError(
      "perplexity alone needs a text: give --text FILE, or --reference MODEL to compare on sampled text",
    );
  }
  for (const path of [...models, ...(options.reference === undefined ? [] : [options.reference])]) {
    await (await openLocalModel(path)).close();
  }
  const engine = await openEngine(options);
  let shown: { what: string; progress: Progress } | undefined;
  try {
    const evaluation = await evaluate({
      engine,
      models,
      ...(options.reference === undefined ? {} : { reference: options.reference }),
      seed: options.seed,
      threads: options.threads,
      ...evaluationSettings(options),
      signal,
      onNote: (note) => output.note(note),
      onProgress(what, done, total) {
        if (shown?.what !== what) {
          shown?.progress.end();
          shown = { what, progress: output.progress(what, total, what === "sampling text" ? "steps" : "chunks") };
        }
        shown.progress.update(done);
      },
    });
    shown?.progress.end();
    if (options.output !== undefined) await writeFileAside(options.output, `${JSON.stringify(evaluation, null, 2)}\n`);
    output.result({
      document: evaluation,
      text: () => renderEvaluation(evaluation),
      next:
        options.reference === undefined
          ? nextCommand("prism", "evaluate", ...models, "--reference", "F16.gguf")
          : nextCommand("prism", "run", options.reference, "--like", "Q3_K_M"),
    });
  } finally {
    shown?.progress.end();
    await engine.close();
  }
}
