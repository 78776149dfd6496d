/** All verbs of the command line. */
import { Command, Help, type Option } from "commander";
import { PRISM_VERSION } from "../version.ts";
import type { CommandContext } from "./context.ts";
import { writeText } from "./json-document.ts";
import { linesAreAsked } from "./json-lines.ts";
import { inGroups } from "./option-groups.ts";
import { terminalWidth } from "./terminal-width.ts";

type CreateCommand = (context: CommandContext) => Command;

/** In the order of a first use; `--help` lists them so. A verb's modules are loaded when it is asked for. */
export const COMMANDS: ReadonlyMap<string, () => Promise<CreateCommand>> = new Map([
  ["run", async () => (await import("./commands/run.ts")).runCommand],
  ["inspect", async () => (await import("./commands/inspect.ts")).inspectCommand],
  ["repair", async () => (await import("./commands/repair.ts")).repairCommand],
  ["analyze", async () => (await import("./commands/analyze.ts")).analyzeCommand],
  ["plan", async () => (await import("./commands/plan.ts")).planCommand],
  ["show", async () => (await import("./commands/show.ts")).showCommand],
  ["quantize", async () => (await import("./commands/quantize.ts")).quantizeCommand],
  ["evaluate", async () => (await import("./commands/evaluate.ts")).evaluateCommand],
  ["imatrix", async () => (await import("./commands/imatrix.ts")).imatrixCommand],
  ["prior", async () => (await import("./commands/prior.ts")).priorCommand],
  ["report", async () => (await import("./commands/report.ts")).reportCommand],
  ["upload", async () => (await import("./commands/upload.ts")).uploadCommand],
  ["review", async () => (await import("./commands/review.ts")).reviewCommand],
  ["serve", async () => (await import("./commands/serve.ts")).serveCommand],
  ["shard", async () => (await import("./commands/shard.ts")).shardCommand],
  ["doctor", async () => (await import("./commands/doctor.ts")).doctorCommand],
]);

/**
 * Create the program with the verb that the first argument names, or with all of them. Its errors are thrown, after
 * commander printed those of usage.
 */
export async function createProgram(context: CommandContext, verb?: string): Promise<Command> {
  const program = new Command("prism")
    .description(
      "Plan how to quantize a GGUF language model: measure every tensor, spend a byte budget where it buys the most " +
        "quality, and hand the recipe to llama-quantize.",
    )
    .version(PRISM_VERSION)
    .helpCommand(false)
    .exitOverride()
    .configureHelp({
      optionDescription: describeOption,
      visibleOptions: (command) => inGroups(command, new Help().visibleOptions(command)),
      // in the order in which they are shown, which is not that of their definition
      groupItems: (_defined, shown, groupOf) => new Help().groupItems(shown, shown, groupOf),
    })
    .configureOutput({
      writeOut: writeText,
      // an error is a line as well where lines are asked for (failure.ts)
      writeErr: (text) => {
        if (!linesAreAsked()) process.stderr.write(text);
      },
      outputError: (text, write) => write(text.replace(/^error: /, "prism: ")),
      getOutHelpWidth: () => terminalWidth(process.stdout, process.env),
      getErrHelpWidth: () => terminalWidth(process.stderr, process.env),
    })
    .showHelpAfterError("type prism --help for the commands")
    .addHelpText("after", "\nprism help COMMAND shows the options of a command.\nStart with: prism inspect MODEL.gguf");
  const asked = COMMANDS.get(verb ?? "");
  const creators = await Promise.all((asked === undefined ? [...COMMANDS.values()] : [asked]).map((load) => load()));
  for (const create of creators) {
    const command = create(context);
    inherit(command, program, `prism ${command.name()}`);
    program.addCommand(command);
  }
  return program;
}

/** What the program was told to do holds in its commands and theirs: how errors are written, and what they exit with. */
function inherit(command: Command, parent: Command, name: string): void {
  command.copyInheritedSettings(parent);
  for (const verb of command.commands) inherit(verb, command, `${name} ${verb.name()}`);
  command.showHelpAfterError(`type ${name} --help for its options`);
}

/** As commander does, but for the preset: what an option means without a value, its description says. */
function describeOption(option: Option): string {
  const described: Option = Object.create(option, { presetArg: { value: undefined } });
  return new Help().optionDescription(described);
}
