/** prism inspect: what a model's header says, the exact size of every preset, and findings. */
import { Command } from "commander";
import { inspect } from "../../gguf/inspect.ts";
import { openModel } from "../../gguf/open.ts";
import { renderInspection } from "../../report/terminal/inspection-text.ts";
import type { CommandContext } from "../context.ts";
import { nextCommand } from "../next-command.ts";
import { jsonOption } from "../options.ts";
import { openOutput } from "../output.ts";

interface InspectOptions {
  readonly json?: boolean;
}

export function inspectCommand(_context: CommandContext): Command {
  return new Command("inspect")
    .description("show the header of a model: classes of tensors, exact sizes of the presets, findings")
    .argument("<model>", "a GGUF file, or the first of its shards")
    .addOption(jsonOption())
    .action(runInspect);
}

async function runInspect(path: string, options: InspectOptions): Promise<void> {
  const file = await openModel(path);
  await file.close();
  const inspection = inspect(file.model);
  const plannable = inspection.presets.length > 0;
  openOutput(options).result({
    document: inspection,
    text: (paint) => renderInspection(inspection, paint),
    next: plannable ? nextCommand("prism", "plan", path, "--like", "Q3_K_M") : "prism inspect MODEL.gguf",
  });
}
