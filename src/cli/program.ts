/** All verbs of the command line. */
import { Command } from "commander";
import { PRISM_VERSION } from "../version.ts";
import { analyzeCommand } from "./commands/analyze.ts";
import { doctorCommand } from "./commands/doctor.ts";
import { evaluateCommand } from "./commands/evaluate.ts";
import { inspectCommand } from "./commands/inspect.ts";
import { planCommand } from "./commands/plan.ts";
import { quantizeCommand } from "./commands/quantize.ts";
import { runCommand } from "./commands/run.ts";
import { showCommand } from "./commands/show.ts";
import type { CommandContext } from "./context.ts";

/** In the order of a first use; `--help` lists them so. */
const COMMANDS = [
  runCommand,
  inspectCommand,
  analyzeCommand,
  planCommand,
  showCommand,
  quantizeCommand,
  evaluateCommand,
  doctorCommand,
] as const;

/** Create the program. Its errors are thrown, after commander printed those of usage. */
export function createProgram(context: CommandContext): Command {
  const program = new Command("prism")
    .description(
      "Plan how to quantize a GGUF language model: measure every tensor, spend a byte budget where it buys the most " +
        "quality, and hand the recipe to llama-quantize.",
    )
    .version(PRISM_VERSION)
    .helpCommand(false)
    .exitOverride()
    .configureOutput({ outputError: (text, write) => write(text.replace(/^error: /, "prism: ")) })
    .showHelpAfterError("type prism --help for the commands")
    .addHelpText(
      "after",
      "\nprism COMMAND --help shows the options of a command.\nStart with: prism inspect MODEL.gguf",
    );
  for (const create of COMMANDS) {
    const command = create(context).copyInheritedSettings(program);
    program.addCommand(command.showHelpAfterError(`type prism ${command.name()} --help for its options`));
  }
  return program;
}
