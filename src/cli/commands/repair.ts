/** prism repair: a new file in which what preflight can mend is mended, and nothing else is touched. */
import { Command } from "commander";
import { present } from "../../present.ts";
import { renderRepair } from "../../report/terminal/repair-text.ts";
import { repairModel } from "../../verbs/repair.ts";
import type { CommandContext } from "../context.ts";
import { nextCommand } from "../next-command.ts";
import { addSharedOptions, type SharedOptions } from "../options.ts";
import { openOutput } from "../output.ts";
import { withWorkplace } from "../with-bench.ts";

interface Options extends SharedOptions {
  readonly out?: string;
  readonly dryRun?: boolean;
}

const HELP = `
Repairs a layer count that is wrong (MTP layers that were not converted),
alignment, missing marks of a reranker (a head grafted from the rows of "yes"
and "no", labels, pooling type, prompt), and tensors that llama.cpp refuses.
Everything else is copied byte for byte. A model that needs nothing is left
alone: no file is written. What was done is told in the file's metadata
(prism.repair.*). prism inspect says what is wrong with a model.`;

export function repairCommand(context: CommandContext): Command {
  const command = new Command("repair")
    .description("write a new file in which what inspect finds wrong is mended, where it can be")
    .argument("<model>", "a GGUF file or the first of its shards, on this machine")
    .option("-o, --out <file>", "the repaired GGUF, one file")
    .option("--dry-run", "say what would be done, and write nothing");
  return addSharedOptions(command, "force")
    .addHelpText("after", HELP)
    .action((path: string, options: Options) => run(path, options, context));
}

async function run(path: string, options: Options, context: CommandContext): Promise<void> {
  const output = openOutput(options);
  // one token is decoded: more threads would only be started
  const place = { ...options, threads: 1 };
  const { plan, written } = await withWorkplace(place, context, output, ({ bench }) =>
    repairModel(path, { ...options, output: options.out }, bench),
  );
  const { changes, refusals } = plan;
  output.result({
    document: {
      schema: "prism.repair/1",
      path,
      dryRun: options.dryRun ?? false,
      changes,
      refusals: refusals.map(({ reason }) => reason),
      ...present({ output: written }),
    },
    text: (_, width) => renderRepair(plan, path, written, width),
    next:
      changes.length > 0 && written === undefined
        ? nextCommand("prism", "repair", path, "-o", path.replace(/(\.gguf)?$/i, "-repaired.gguf"))
        : nextCommand("prism", "inspect", written?.path ?? path),
  });
}
