/** prism imatrix: the importance matrix of a model, from a text or from what the model itself writes. */

import { resolve } from "node:path";
import { Command } from "commander";
import { checkWritable, fileExists } from "../../disk/aside-file.ts";
import { openEngine } from "../../engine/open-engine.ts";
import { UsageError } from "../../errors.ts";
import { makeImatrix } from "../../evaluate/make-imatrix.ts";
import { openLocalModel } from "../../gguf/open.ts";
import { describeHole, findHoles } from "../../imatrix/coverage.ts";
import { readImatrix } from "../../imatrix/imatrix.ts";
import { compileMissingKernels } from "../../kernels/compile-kernels.ts";
import { printable } from "../../plan/printable.ts";
import type { CommandContext } from "../context.ts";
import {
  cacheOption,
  chunksOption,
  contextOption,
  type EvaluationCliOptions,
  evaluationSettings,
  gpuLayersOption,
} from "../evaluation-options.ts";
import { nextCommand } from "../next-command.ts";
import { forceOption, jsonOption, llamaDirOption, quietOption, seedOption, threadsOption } from "../options.ts";
import { openOutput } from "../output.ts";
import { followStages } from "../stages.ts";

interface Options extends EvaluationCliOptions {
  readonly output: string;
  readonly threads: number;
  readonly seed: number;
  readonly llamaDir?: string;
  readonly force?: boolean;
  readonly json?: boolean;
  readonly quiet?: boolean;
}

const HELP = `
The file is llama-imatrix's: llama-quantize --imatrix, prism plan --imatrix and prism run --imatrix read it.
Take a text that is like what the model will read, and judge the result on another one.`;

export function imatrixCommand(context: CommandContext): Command {
  return new Command("imatrix")
    .description("measure which inputs of each weight matter, for --imatrix of plan, run and llama-quantize")
    .argument("<model>", "the unquantized GGUF file, or the first of its shards")
    .option("--text <file>", "text to run the model on; default: sampled from the model itself")
    .option("-o, --output <file>", "where the matrix goes", "imatrix.gguf")
    .addOption(contextOption())
    .addOption(chunksOption("use this many chunks, from the beginning; default: all, or 128 sampled ones"))
    .addOption(gpuLayersOption())
    .addOption(cacheOption())
    .addOption(seedOption())
    .addOption(threadsOption())
    .addOption(llamaDirOption())
    .addOption(forceOption())
    .addOption(jsonOption())
    .addOption(quietOption())
    .addHelpText("after", HELP)
    .action((model: string, options: Options) => run(model, options, context));
}

async function run(model: string, options: Options, { signal }: CommandContext): Promise<void> {
  const output = openOutput(options);
  const { output: path } = options;
  const file = await openLocalModel(model);
  await file.close();
  if (file.model.shards.some((shard) => resolve(shard.path) === resolve(path))) {
    throw new UsageError(`-o ${path} is the model itself; name another file`);
  }
  if (!options.force && (await fileExists(path))) {
    throw new UsageError(`${path} exists; give --force to replace it, or another name with -o`);
  }
  await checkWritable(path);
  await compileMissingKernels({ note: output.note, signal });
  const engine = await openEngine(options);
  const stages = followStages(output);
  try {
    await makeImatrix({
      ...evaluationSettings(options),
      engine,
      model,
      output: path,
      seed: options.seed,
      threads: options.threads,
      signal,
      onNote: stages.begin,
      onProgress: stages.update,
    });
    stages.end();
    const imatrix = await readImatrix(path);
    const holes = findHoles(imatrix, file.model.tensors);
    const { sha256, entries, chunks, dataset } = imatrix;
    output.result({
      document: { path, sha256, entries, chunks, dataset, holes },
      text: () =>
        [
          `${path}: ${entries} tensors over ${chunks} chunks`,
          ...holes.map((hole) => printable(`! ${describeHole(hole)}`)),
        ].join("\n"),
      next: nextCommand("prism", "run", model, "--imatrix", path),
    });
  } finally {
    stages.end();
    await engine.close();
  }
}
