/** prism evaluate: perplexity, KL divergence against a reference, how rerankers rank, and how far embeddings drift. */
import { Command } from "commander";
import { writeFileAside } from "../../disk/aside-file.ts";
import { type ChartTable, tableCsv } from "../../report/charts/table.ts";
import { driftTable, figuresTable, scoresTable } from "../../report/evaluation-tables.ts";
import { renderEmbeddings } from "../../report/terminal/embedding-table.ts";
import { renderEvaluation } from "../../report/terminal/evaluation-table.ts";
import { gateLines } from "../../report/terminal/gate-lines.ts";
import { renderRanking } from "../../report/terminal/rerank-table.ts";
import { checkOutputs } from "../../verbs/check-outputs.ts";
import { type EvaluatedModels, evaluateModels } from "../../verbs/evaluate.ts";
import type { CommandContext } from "../context.ts";
import { addEmbeddingOptions, type EmbeddingCliOptions } from "../embedding-options.ts";
import { requireGates, requireOption } from "../gate-options.ts";
import { nextCommand } from "../next-command.ts";
import { addSharedOptions, type SharedOptions } from "../options.ts";
import { openOutput } from "../output.ts";
import { addPromptOptions, type PromptCliOptions } from "../prompt-options.ts";
import { addJudgingTextOptions, type TextOptions } from "../text-options.ts";
import { withBench } from "../with-bench.ts";

interface Options extends SharedOptions, TextOptions, EmbeddingCliOptions, PromptCliOptions {
  readonly reference?: string;
  /** true: the set that comes with prism. */
  readonly rerank?: string | true;
  readonly server?: string;
  readonly referenceServer?: string;
  /** true: the text that comes with prism. */
  readonly kinds?: readonly string[] | true;
  readonly kv?: string;
  readonly speed?: boolean;
  readonly out?: string;
  readonly csv?: string;
  readonly require?: readonly string[];
}

const HELP = `
Rerankers: prism evaluate Q4.gguf Q8.gguf --reference F16.gguf --rerank. With
--text too, a causal reranker is judged by both. Prompts longer than --context
(8192 tokens, or what the model was trained with) lose the end of their
document. Documents may be images, {"image": "FILE", "text": "…"}, after
prism doctor --build-mtmd, or where --server has a projector.
Models that embed (bge, nomic, e5, Qwen3-Embedding): 1 − cosine to the
reference's vectors, and what they find.`;

export function evaluateCommand(context: CommandContext): Command {
  const command = new Command("evaluate")
    .description(
      "perplexity of models, their KL divergence from a reference; of rerankers how they rank, of embeddings their drift",
    )
    .argument("<model...>", "GGUF files to judge")
    .option("--reference <model>", "the unquantized model; without it only perplexity is measured")
    .option(
      "--rerank [file]",
      "score documents: JSON Lines of {query, documents, relevance?}; default: prism's own set",
    )
    .option("--server <url>", "with --rerank: let the llama-server that runs MODEL score")
    .option("--reference-server <url>", "with --rerank: let the llama-server that runs the reference score")
    .option(
      "--kinds [file...]",
      "judge by kind of text too: a file a kind; default: prose, dialogue, code, technical text, languages",
    )
    .option("--kv <type>", "judge with caches of keys and values of this type too, like q8_0, or of each: q8_0,q4_0")
    .option("--speed", "measure tokens per second of prompt and generation too, as llama-bench does")
    .option("-o, --out <file>", "also write the evaluation as JSON to this file")
    .option("--csv <file>", "also write its table for a spreadsheet: figures of each file, or scores of each document");
  command.addOption(requireOption('"kld<=0.05 && sameTop>=95%", for every model'));
  addPromptOptions(command);
  addEmbeddingOptions(command);
  addJudgingTextOptions(command);
  return addSharedOptions(
    command,
    "gpu-layers",
    "cache-limit",
    "cache",
    "seed",
    "strict",
    "force-findings",
    "threads",
    "llama-dir",
    "force",
  )
    .addHelpText("after", HELP)
    .action((models: string[], options: Options) => run(models, options, context));
}

async function run(models: string[], options: Options, context: CommandContext): Promise<void> {
  const output = openOutput(options);
  const { reference, rerank, retrieval, text, force } = options;
  const kinds = options.kinds === true ? [] : options.kinds;
  const inputs = [...models, ...(kinds ?? []), reference, rerank === true ? undefined : rerank, retrieval, text];
  const outputs = [options.out, options.csv].filter((path) => path !== undefined);
  if (outputs.length > 0) await checkOutputs(outputs, { inputs, force });
  const work = (bench: Parameters<typeof evaluateModels>[2]) => evaluateModels(models, options, bench);
  const evaluated = await withBench(options, context, output, work);
  const { evaluation, judged, ranking, embeddings } = evaluated;
  if (options.out !== undefined) await writeFileAside(options.out, `${JSON.stringify(evaluation, null, 2)}\n`);
  if (options.csv !== undefined) await writeFileAside(options.csv, tableCsv(tableOf(evaluated)));
  const held = evaluation.models.map(({ path, gates = [] }) => ({ name: path, gates }));
  output.result({
    document: evaluation,
    text: (_, width) =>
      [
        ...(judged === undefined ? [] : [renderEvaluation(judged, width)]),
        ...(ranking === undefined ? [] : [renderRanking(ranking, width)]),
        ...(embeddings === undefined ? [] : [renderEmbeddings(embeddings, width)]),
        ...held.flatMap(({ name, gates }) => gateLines(gates, held.length > 1 ? name : undefined)),
      ].join("\n"),
    next: nextStep(models, { ...options, rerank: ranking && true }),
  });
  requireGates(held, "give a larger file, or a gate it can meet");
}

/** Scores where documents were ranked. */
function tableOf({ judged, ranking, embeddings }: EvaluatedModels): ChartTable {
  if (ranking !== undefined) return scoresTable(ranking);
  return embeddings === undefined ? figuresTable(judged?.models ?? []) : driftTable(embeddings.models);
}

function nextStep(
  models: readonly string[],
  { reference, rerank }: { readonly reference?: string | undefined; readonly rerank: true | undefined },
): string {
  if (reference !== undefined) return nextCommand("prism", "run", reference, "--like", "Q3_K_M");
  const measure = rerank === undefined ? [] : ["--rerank"];
  return nextCommand("prism", "evaluate", ...models, "--reference", "F16.gguf", ...measure);
}
