/** prism inspect: what a model's header says, the exact size of every preset, and findings. */
import { Command } from "commander";
import { isRemote, shownName } from "../../bytes/remote-name.ts";
import type { Model, ModelFile } from "../../gguf/model.ts";
import { checkModel, openingFinding } from "../../preflight/check-model.ts";
import { requireClean } from "../../preflight/clean.ts";
import type { Finding } from "../../preflight/finding-codes.ts";
import { inspect } from "../../preflight/inspect.ts";
import type { Inspection } from "../../preflight/inspection.ts";
import { planRepair } from "../../repair/repair.ts";
import { renderInspection } from "../../report/terminal/inspection-text.ts";
import type { CommandContext } from "../context.ts";
import { strictOption } from "../model-findings.ts";
import { nextCommand } from "../next-command.ts";
import { noteTraffic, openNamedModel } from "../open-named-model.ts";
import { jsonOption, MODEL_ARGUMENT, noCacheOption, quietOption } from "../options.ts";
import { type Output, openOutput, type Progress } from "../output.ts";

interface InspectOptions {
  readonly json?: boolean;
  readonly quiet?: boolean;
  readonly deep?: boolean;
  readonly strict?: boolean;
  readonly cache: boolean;
}

export function inspectCommand(context: CommandContext): Command {
  return new Command("inspect")
    .description("show the header of a model: classes of tensors, exact sizes of the presets, findings")
    .argument("<model>", MODEL_ARGUMENT)
    .option("--deep", "look at every weight, not at a sample; of a remote model that is a download")
    .addOption(strictOption())
    .addOption(noCacheOption())
    .addOption(jsonOption())
    .addOption(quietOption())
    .action((path: string, options: InspectOptions) => runInspect(path, options, context));
}

async function runInspect(path: string, options: InspectOptions, context: CommandContext): Promise<void> {
  const output = openOutput(options);
  const named = await openNamedModel(path, options.cache, context, output).catch((error: unknown) => {
    tellDamage(path, error, options);
    throw error;
  });
  const { file } = named;
  const findings = await findAll(file, options, context, output).finally(() => file.close());
  noteTraffic(named, output);
  const inspection = inspect(file.model, findings);
  output.result({
    document: inspection,
    text: (paint) => renderInspection(inspection, paint),
    next: followUp(path, file.model, inspection),
  });
  if (options.strict) requireClean(file.model.path, findings);
}

/** With --json a file that can't be opened is a document too; a person reads the error. */
function tellDamage(path: string, error: unknown, { json }: InspectOptions): void {
  const finding = openingFinding(error);
  if (finding === undefined || !json) return;
  const document = { schema: "prism.inspection/1", path: shownName(path), findings: [finding] };
  process.stdout.write(`${JSON.stringify(document, null, 2)}\n`);
}

async function findAll(
  file: ModelFile,
  { deep = false }: InspectOptions,
  { signal }: CommandContext,
  output: Output,
): Promise<Finding[]> {
  let progress: Progress | undefined;
  const onProgress = (done: number, total: number, name: string) => {
    progress ??= output.progress("reading", total, "tensors");
    progress.update(done, name);
  };
  try {
    return await checkModel(file, { deep, signal, ...(deep ? { onProgress } : {}) });
  } finally {
    progress?.end();
  }
}

function followUp(path: string, model: Model, { presets, findings }: Inspection): string {
  if (!isRemote(path) && planRepair(model).changes.length > 0) {
    return nextCommand("prism", "repair", path, "--dry-run");
  }
  const isQuantized = findings.some(({ code, severity }) => code === "already-quantized" && severity === "error");
  const plannable = presets.length > 0 && !isQuantized;
  return plannable ? nextCommand("prism", "plan", shownName(path), "--like", "Q3_K_M") : "prism inspect MODEL.gguf";
}
