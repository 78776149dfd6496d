/** prism imatrix: the importance matrix of a model, from a text or from what the model itself writes. */
import { Command } from "commander";
import { describeHole } from "../../imatrix/coverage.ts";
import { printable } from "../../plan/printable.ts";
import { DEFAULT_IMATRIX, imatrix } from "../../verbs/imatrix.ts";
import type { CommandContext } from "../context.ts";
import { nextCommand } from "../next-command.ts";
import { addSharedOptions, type SharedOptions } from "../options.ts";
import { openOutput } from "../output.ts";
import { addTextOptions, type TextOptions } from "../text-options.ts";
import { withBench } from "../with-bench.ts";

interface Options extends SharedOptions, TextOptions {
  readonly out: string;
  readonly head?: boolean;
  readonly blocks?: boolean;
}

const HELP = `
The file is llama-imatrix's: llama-quantize --imatrix, prism plan --imatrix and
prism run --imatrix read it. Take a text that is like what the model will read,
and judge the result on another one.`;

export function imatrixCommand(context: CommandContext): Command {
  const command = new Command("imatrix")
    .description("measure which inputs of each weight matter, for --imatrix of plan, run and llama-quantize")
    .argument("<model>", "the unquantized GGUF file, or the first of its shards")
    .option("-o, --out <file>", "where the matrix goes", DEFAULT_IMATRIX)
    .option("--head", "also for the output head, which llama-imatrix leaves out; prism run makes it so")
    .option("--blocks", "sum the text in blocks: the very file that prism shard makes on many machines");
  addTextOptions(
    command,
    "text to run the model on; default: sampled from the model itself",
    "use this many chunks, from the beginning; default: all, or 32 sampled ones",
  );
  return addSharedOptions(command, "gpu-layers", "cache", "seed", "threads", "llama-dir", "force")
    .addHelpText("after", HELP)
    .action((model: string, options: Options) => run(model, options, context));
}

async function run(model: string, options: Options, context: CommandContext): Promise<void> {
  const output = openOutput(options);
  const made = await withBench(options, context, output, (bench) =>
    imatrix(model, { ...options, output: options.out }, bench),
  );
  output.result({
    document: made,
    text: () =>
      [
        `${made.path}: ${made.entries} tensors over ${made.chunks} chunks`,
        ...made.holes.map((hole) => printable(`! ${describeHole(hole)}`)),
      ].join("\n"),
    next: nextCommand("prism", "run", model, "--imatrix", made.path),
  });
}
