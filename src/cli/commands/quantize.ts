/** prism quantize: plan.json → the GGUF, verified to the byte. */
import { dirname, join } from "node:path";
import { Command, Option } from "commander";
import { isRemote } from "../../bytes/remote-name.ts";
import { fileExists } from "../../disk/aside-file.ts";
import { openEngine } from "../../engine/open-engine.ts";
import { FileError } from "../../errors.ts";
import { openModel } from "../../gguf/open.ts";
import { defaultOutput } from "../../plan/quantize-arguments.ts";
import { copyProjectors, describeOutput } from "../../quantize/outputs.ts";
import { planImatrix, planSpec } from "../../quantize/plan-spec.ts";
import { quantize } from "../../quantize/quantize.ts";
import { formatBytes } from "../../report/terminal/numbers.ts";
import type { CommandContext } from "../context.ts";
import { reportFindings, strictOption } from "../model-findings.ts";
import { nextCommand } from "../next-command.ts";
import { forceOption, jsonOption, llamaDirOption, quietOption, threadsOption } from "../options.ts";
import { type Output, openOutput, type Progress } from "../output.ts";
import { loadPlan } from "../read-document.ts";

interface Options {
  readonly output?: string;
  readonly source?: string;
  readonly imatrix?: string;
  readonly allowRequantize?: boolean;
  readonly threads: number;
  readonly llamaDir?: string;
  readonly strict?: boolean;
  readonly force?: boolean;
  readonly json?: boolean;
  readonly quiet?: boolean;
}

export function quantizeCommand(context: CommandContext): Command {
  return new Command("quantize")
    .description("make the GGUF that a plan describes, and verify its types and bytes")
    .argument("<plan.json>", "a plan of prism plan")
    .option("-o, --output <file>", "the GGUF to write; default: named after the model and its bits per weight")
    .addOption(new Option("--source <model>", "the f16 model, where it no longer lies where the plan says"))
    .addOption(
      new Option("--imatrix <file>", "the plan's importance matrix, where it no longer lies where the plan says"),
    )
    .addOption(new Option("--allow-requantize", "accept a source that is already quantized"))
    .addOption(strictOption())
    .addOption(threadsOption())
    .addOption(llamaDirOption())
    .addOption(forceOption())
    .addOption(jsonOption())
    .addOption(quietOption())
    .action((path: string, options: Options) => run(path, options, context));
}

async function run(path: string, options: Options, { signal }: CommandContext): Promise<void> {
  const output = openOutput(options);
  const plan = await loadPlan(path);
  const source = options.source ?? plan.source.path;
  if (options.source === undefined) await checkPlannedSource(source);
  const target = options.output ?? join(".", defaultOutput(plan).replace(/^\.\//, ""));
  const imatrix = await planImatrix({ ...plan, source: { ...plan.source, path: source } }, options.imatrix);
  await checkSource(source, options, signal, output);
  const engine = await openEngine(options);
  let progress: Progress | undefined;
  try {
    const file = await quantize(planSpec(plan, source, target, imatrix), {
      engine,
      threads: options.threads,
      force: options.force ?? false,
      allowRequantize: options.allowRequantize ?? false,
      signal,
      onProgress(done, total) {
        progress ??= output.progress("quantize", total, `tensors into ${target}`);
        progress.update(done);
      },
    });
    const { sha256 } = await describeOutput(file.path);
    const model = { path: source, arch: plan.facts.arch };
    const projectors = await copyProjectors(model, dirname(target), options.force ?? false);
    output.result({
      document: {
        ...file,
        sha256,
        projectors,
        bpw: plan.predicted.bpw,
        verified: { tensors: plan.tensors.length, fileBytes: file.fileBytes },
      },
      text: () =>
        `${file.path}: ${formatBytes(file.fileBytes)}, ${plan.predicted.bpw.toFixed(4)} bits per weight, ${(file.elapsedMs / 1000).toFixed(1)} s\n` +
        `verified: ${plan.tensors.length} tensors have the plan's types, and the file the plan's bytes\n` +
        [{ path: file.path, sha256 }, ...projectors]
          .map((written) => `SHA-256 ${written.sha256}  ${written.path}`)
          .join("\n"),
      next: nextCommand("prism", "evaluate", file.path, "--reference", source),
    });
  } finally {
    progress?.end();
    await engine.close();
  }
}

/** What is quantized already is a matter of --allow-requantize; what can't be opened, the quantizer says. */
async function checkSource(source: string, options: Options, signal: AbortSignal, output: Output): Promise<void> {
  if (isRemote(source)) return;
  const file = await openModel(source);
  try {
    const { strict = false } = options;
    await reportFindings(file, { strict, signal, ignored: ["already-quantized"] }, output);
  } finally {
    await file.close();
  }
}

/** A plan travels without its model; what names no local file is answered by the quantizer itself. */
async function checkPlannedSource(path: string): Promise<void> {
  if (isRemote(path) || (await fileExists(path))) return;
  throw new FileError(path, "the model of the plan is not there; name it with --source FILE");
}
