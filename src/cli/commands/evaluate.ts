/** prism evaluate: perplexity, KL divergence against a reference, and how rerankers rank. */

import { Command } from "commander";
import { writeFileAside } from "../../disk/aside-file.ts";
import { openEngine } from "../../engine/open-engine.ts";
import { UsageError } from "../../errors.ts";
import { evaluate } from "../../evaluate/evaluate.ts";
import type { Evaluation } from "../../evaluate/evaluation.ts";
import { openLocalModel } from "../../gguf/open.ts";
import { compileMissingKernels } from "../../kernels/compile-kernels.ts";
import { renderEvaluation } from "../../report/terminal/evaluation-table.ts";
import { renderRanking } from "../../report/terminal/rerank-table.ts";
import { joinRerank } from "../../rerank/rerank.ts";
import { hasRankHead } from "../../rerank/reranker.ts";
import type { CommandContext } from "../context.ts";
import { addEvaluationOptions, type EvaluationCliOptions, evaluationSettings } from "../evaluation-options.ts";
import { reportFindings, strictOption } from "../model-findings.ts";
import { nextCommand } from "../next-command.ts";
import { forceOption, jsonOption, llamaDirOption, quietOption, seedOption, threadsOption } from "../options.ts";
import { type Output, openOutput, type Progress } from "../output.ts";
import { checkOutputs } from "../output-files.ts";
import { rankModels } from "../rank-models.ts";

interface Options extends EvaluationCliOptions {
  readonly reference?: string;
  /** true: the set that comes with prism. */
  readonly rerank?: string | true;
  readonly server?: string;
  readonly output?: string;
  readonly threads: number;
  readonly seed: number;
  readonly llamaDir?: string;
  readonly strict?: boolean;
  readonly force?: boolean;
  readonly json?: boolean;
  readonly quiet?: boolean;
}

const HELP = `
Rerankers: prism evaluate Q4.gguf Q8.gguf --reference F16.gguf --rerank. With --text too, a causal reranker is judged by
both. Prompts longer than --context (8192 tokens, or what the model was trained with) lose the end of their document.`;

export function evaluateCommand(context: CommandContext): Command {
  const command = new Command("evaluate")
    .description("perplexity of models, their KL divergence from a reference, and how rerankers rank")
    .argument("<model...>", "GGUF files to judge")
    .option("--reference <model>", "the unquantized model; without it only perplexity is measured")
    .option(
      "--rerank [file]",
      "score documents: JSON Lines of {query, documents, relevance?}; default: prism's own set",
    )
    .option("--server <url>", "with --rerank: let the llama-server that runs MODEL score")
    .option("-o, --output <file>", "also write the evaluation as JSON to this file");
  return addEvaluationOptions(command)
    .addOption(seedOption())
    .addOption(strictOption())
    .addOption(threadsOption())
    .addOption(llamaDirOption())
    .addOption(forceOption())
    .addOption(jsonOption())
    .addOption(quietOption())
    .addHelpText("after", HELP)
    .action((models: string[], options: Options) => run(models, options, context));
}

async function run(models: string[], asked: Options, { signal }: CommandContext): Promise<void> {
  const output = openOutput(asked);
  if (asked.output !== undefined) await checkOutputs([asked.output], asked.force ?? false);
  const options = await chooseMeasures(models, asked, signal, output);
  await compileMissingKernels({ note: output.note, signal });
  const engine = await openEngine(options);
  const bars = progressBars(output);
  try {
    const ranking =
      options.rerank === undefined ? undefined : await rankModels(engine, models, options, signal, bars.of("queries"));
    const judged = ranking !== undefined && options.text === undefined ? undefined : await evaluateText();
    bars.end();
    const evaluation =
      judged === undefined || ranking === undefined ? (judged ?? ranking) : joinRerank(judged, ranking);
    if (options.output !== undefined) await writeFileAside(options.output, `${JSON.stringify(evaluation, null, 2)}\n`);
    output.result({
      document: evaluation,
      text: () =>
        [
          ...(judged === undefined ? [] : [renderEvaluation(judged)]),
          ...(ranking === undefined ? [] : [renderRanking(ranking)]),
        ].join("\n"),
      next: nextStep(models, options),
    });
  } finally {
    bars.end();
    await engine.close();
  }

  function evaluateText(): Promise<Evaluation> {
    return evaluate({
      engine,
      models,
      ...(options.reference === undefined ? {} : { reference: options.reference }),
      seed: options.seed,
      threads: options.threads,
      ...evaluationSettings(options),
      signal,
      onNote: (note) => output.note(note),
      onProgress: bars.of("chunks"),
    });
  }
}

/** Check what was asked before the engine starts; models that rank with a head of their own are ranked, asked or not. */
async function chooseMeasures(
  models: readonly string[],
  options: Options,
  signal: AbortSignal,
  output: Output,
): Promise<Options> {
  const { reference, server, text, rerank, strict = false } = options;
  if (server !== undefined && rerank === undefined) {
    throw new UsageError("--server scores documents: give --rerank with it");
  }
  let ranked = rerank;
  for (const path of [...(server === undefined ? models : []), ...(reference === undefined ? [] : [reference])]) {
    const file = await openLocalModel(path);
    // what is judged here is quantized as a rule
    await reportFindings(file, { strict, signal, ignored: ["already-quantized"] }, output).finally(() => file.close());
    if (ranked !== undefined || text !== undefined || !hasRankHead(file.model)) continue;
    output.note(`${path} ranks with a head of its own: judged by its ranking, as with --rerank`);
    ranked = true;
  }
  if (ranked === undefined && reference === undefined && text === undefined) {
    throw new UsageError(
      "perplexity alone needs a text: give --text FILE, or --reference MODEL to compare on sampled text",
    );
  }
  return ranked === undefined ? options : { ...options, rerank: ranked };
}

function progressBars(output: Output) {
  let shown: { what: string; progress: Progress } | undefined;
  const end = () => {
    shown?.progress.end();
    shown = undefined;
  };
  return {
    end,
    of: (unit: string) => (what: string, done: number, total: number) => {
      if (shown?.what !== what) {
        end();
        shown = { what, progress: output.progress(what, total, what === "sampling text" ? "steps" : unit) };
      }
      shown.progress.update(done);
    },
  };
}

function nextStep(models: readonly string[], { reference, rerank }: Options): string {
  if (reference !== undefined) return nextCommand("prism", "run", reference, "--like", "Q3_K_M");
  const measure = rerank === undefined ? [] : ["--rerank"];
  return nextCommand("prism", "evaluate", ...models, "--reference", "F16.gguf", ...measure);
}
