/** prism prior: the models a prior was fitted to, and a prior of them and of your own. */
import { Argument, Command } from "commander";
import { writeFileAside } from "../../disk/aside-file.ts";
import { UsageError } from "../../errors.ts";
import { renderPrior } from "../../report/terminal/prior-table.ts";
import { serializePrior } from "../../sensitivity/grow-prior.ts";
import { checkOutputs } from "../../verbs/check-outputs.ts";
import { addToPrior, loadPrior, probedFiles } from "../../verbs/prior.ts";
import type { CommandContext } from "../context.ts";
import { nextCommand } from "../next-command.ts";
import { addSharedOptions, type SharedOptions } from "../options.ts";
import { openOutput } from "../output.ts";

interface Options extends SharedOptions {
  readonly out: string;
  readonly prior?: string;
}

const HELP = `
prism prior show [FILE]    models of the prior that comes with PRISM, or of FILE
prism prior add RUN...     fit it anew with the models that these runs probed

RUN is the directory of a run with probes, or its probes.json beside its
analysis.json. A model that is in the prior already is replaced. Use the result
with prism plan --prior FILE and prism run --prior FILE.`;

export function priorCommand(_context: CommandContext): Command {
  const command = new Command("prior")
    .description("show the models that sensitivities are known from, or add those you have probed")
    .addArgument(new Argument("<action>", "what to do").choices(["add", "show"]))
    .argument("[files...]", "runs to add, or the prior to show")
    .option("-o, --out <file>", "add: where the new prior goes", "prior.json")
    .option("--prior <file>", "add: the prior to add to; default: the one that comes with PRISM");
  return addSharedOptions(command, "force")
    .addHelpText("after", HELP)
    .action((action: string, files: string[], options: Options) =>
      action === "add" ? add(files, options) : show(files, options),
    );
}

async function add(runs: readonly string[], options: Options): Promise<void> {
  const { out, force } = options;
  const read = probedFiles(runs).flatMap(({ probes, analysis }) => [probes, analysis]);
  // the prior that is added to may be replaced
  await checkOutputs([out], { inputs: read, force });
  const grown = await addToPrior(runs, options);
  await writeFileAside(out, `${serializePrior(grown)}\n`);
  openOutput(options).result({
    document: grown,
    text: (_, width) => `${renderPrior(grown, width)}\nwrote ${out}`,
    next: nextCommand("prism", "plan", "MODEL.gguf", "--like", "Q3_K_M", "--prior", out),
  });
}

async function show([path, another]: readonly string[], options: Options): Promise<void> {
  if (another !== undefined) throw new UsageError(`prism prior show takes one prior, got ${another} too`);
  const shown = await loadPrior(path);
  openOutput(options).result({
    document: shown,
    text: (_, width) => renderPrior(shown, width),
    next: path === undefined ? "prism prior add RUN" : nextCommand("prism", "plan", "MODEL.gguf", "--prior", path),
  });
}
