/** prism inspect: what a model's header says, the exact size of every preset, and findings. */
import { Command } from "commander";
import { inspect } from "../../gguf/inspect.ts";
import { shownName } from "../../gguf/remote-name.ts";
import { renderInspection } from "../../report/terminal/inspection-text.ts";
import type { CommandContext } from "../context.ts";
import { nextCommand } from "../next-command.ts";
import { noteTraffic, openNamedModel } from "../open-named-model.ts";
import { jsonOption, MODEL_ARGUMENT, noCacheOption, quietOption } from "../options.ts";
import { openOutput } from "../output.ts";

interface InspectOptions {
  readonly json?: boolean;
  readonly quiet?: boolean;
  readonly cache: boolean;
}

export function inspectCommand(context: CommandContext): Command {
  return new Command("inspect")
    .description("show the header of a model: classes of tensors, exact sizes of the presets, findings")
    .argument("<model>", MODEL_ARGUMENT)
    .addOption(noCacheOption())
    .addOption(jsonOption())
    .addOption(quietOption())
    .action((path: string, options: InspectOptions) => runInspect(path, options, context));
}

async function runInspect(path: string, options: InspectOptions, context: CommandContext): Promise<void> {
  const output = openOutput(options);
  const named = await openNamedModel(path, options.cache, context, output);
  await named.file.close();
  noteTraffic(named, output);
  const inspection = inspect(named.file.model);
  const { presets, findings } = inspection;
  const isQuantized = findings.some(({ code, severity }) => code === "already-quantized" && severity === "error");
  const plannable = presets.length > 0 && !isQuantized;
  output.result({
    document: inspection,
    text: (paint) => renderInspection(inspection, paint),
    next: plannable ? nextCommand("prism", "plan", shownName(path), "--like", "Q3_K_M") : "prism inspect MODEL.gguf",
  });
}
