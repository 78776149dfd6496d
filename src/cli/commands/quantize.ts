/** prism quantize: plan.json → the GGUF, verified to the byte. */
import { Command, Option } from "commander";
import { describeOutcome } from "../../feedback/feedback.ts";
import { protectInputs } from "../../intake/protect-inputs.ts";
import { formatBytes } from "../../numbers.ts";
import { defaultOutput } from "../../plan/quantize-arguments.ts";
import { present } from "../../present.ts";
import type { OutputFile } from "../../quantize/outputs.ts";
import type { LoadProof } from "../../quantize/prove-loading.ts";
import { loadPlan } from "../../verbs/load-document.ts";
import { type QuantizedPlan, quantizePlan } from "../../verbs/quantize.ts";
import type { CommandContext } from "../context.ts";
import { calibrationOption } from "../feedback-options.ts";
import { type MadeModel, madeLines } from "../made-lines.ts";
import { nextCommand } from "../next-command.ts";
import { addSharedOptions, type SharedOptions } from "../options.ts";
import { openOutput } from "../output.ts";
import { keepSplitOption, splitMaxSizeOption } from "../split-options.ts";
import { withBench } from "../with-bench.ts";

interface Options extends SharedOptions {
  readonly out?: string;
  readonly source?: string;
  readonly imatrix?: string;
  readonly allowRequantize?: boolean;
  readonly feedback?: boolean;
  readonly calibration?: string[];
  readonly splitMaxSize?: string;
  readonly keepSplit?: boolean;
}

export function quantizeCommand(context: CommandContext): Command {
  const command = new Command("quantize")
    .description("make the GGUF that a plan describes, and verify its types and bytes")
    .argument("<plan.json>", "a plan of prism plan")
    .option("-o, --out <file>", "the GGUF to write; default: named like Model-PRISM-4.85bpw-Q4_K_M.gguf")
    .addOption(new Option("--source <model>", "the f16 model, where it no longer lies where the plan says"))
    .addOption(
      new Option("--imatrix <file>", "the plan's importance matrix, where it no longer lies where the plan says"),
    )
    .addOption(new Option("--feedback", "choose the codes with error feedback: better at the same bytes, takes longer"))
    .addOption(calibrationOption())
    .addOption(splitMaxSizeOption())
    .addOption(keepSplitOption())
    .addOption(new Option("--allow-requantize", "accept a source that is already quantized"));
  return addSharedOptions(
    command,
    "strict",
    "force-findings",
    "threads",
    "memory",
    "seed",
    "cache",
    "cache-limit",
    "llama-dir",
    "force",
  ).action((path: string, options: Options) => run(path, options, context));
}

async function run(path: string, options: Options, context: CommandContext): Promise<void> {
  const output = openOutput(options);
  const plan = await loadPlan(path);
  const target = options.out ?? defaultOutput(plan);
  await protectInputs([target], [path]);
  const request = { ...options, output: target };
  const work = (bench: Parameters<typeof quantizePlan>[2]) => quantizePlan(plan, request, bench);
  const { source, ...made } = await withBench(options, context, output, work);
  output.result({
    document: made,
    text: () =>
      `${describeFile(made)}: ${formatBytes(made.fileBytes)}, ${made.bpw.toFixed(4)} bits per weight, ${(made.elapsedMs / 1000).toFixed(1)} s\n` +
      (made.feedback === undefined ? "" : `${describeOutcome(made.feedback)}\n`) +
      `verified: ${made.verified.tensors} tensors have the plan's types, and the file the plan's bytes\n` +
      `${describeProof(made.verified)}\nSHA-256:\n` +
      [...(made.parts ?? [made]), ...made.projectors].map(checksumLine).join("\n") +
      `\n\n${madeLines(madeOf(made), plan).join("\n")}`,
    next: nextCommand("prism", "evaluate", made.path, "--reference", source),
  });
}

/** As `sha256sum -c` takes it. */
function checksumLine({ sha256, path }: Pick<OutputFile, "sha256" | "path">): string {
  return `${sha256}  ${path}`;
}

function madeOf({ path, fileBytes, parts, projectors: [projector] }: Omit<QuantizedPlan, "source">): MadeModel {
  return { path, fileBytes, ...present({ parts: parts?.length, projector: projector?.path }) };
}

function describeFile({ path, parts }: { readonly path: string; readonly parts?: readonly unknown[] }): string {
  return parts === undefined ? path : `${path} and ${parts.length - 1} more`;
}

function describeProof({ loaded, why }: LoadProof): string {
  if (loaded === "decoded") return "loaded: llama.cpp loads the file and decoded a token with it";
  if (loaded === "header") return `loaded: llama.cpp takes the header, no token was decoded: ${why}`;
  return loaded === "refused" ? `not loaded: llama.cpp refuses the file: ${why}` : `not loaded: ${why}`;
}
