/** prism inspect: what a model's header says, the exact size of every preset, and findings. */
import { Command } from "commander";
import { DEFAULT_LOGITS_LIMIT_BYTES } from "../../bench.ts";
import { isRemote, shownName } from "../../bytes/remote-name.ts";
import { defaultCacheDir } from "../../disk/cache-dir.ts";
import { DEFAULT_CONTEXT } from "../../footprint/context-size.ts";
import { openExaminer } from "../../open-examiner.ts";
import { openingFinding } from "../../preflight/examine-model.ts";
import { isRefused } from "../../preflight/finding-codes.ts";
import { type InspectedMemory, type Inspection, inspectedFinding } from "../../preflight/inspection.ts";
import { present } from "../../present.ts";
import { renderInspection } from "../../report/terminal/inspection-text.ts";
import { inspectModel, requireCleanInspection } from "../../verbs/inspect.ts";
import type { MemoryRequest } from "../../verbs/vram-request.ts";
import type { CommandContext } from "../context.ts";
import { errorFields } from "../error-fields.ts";
import { followProgress } from "../follow-progress.ts";
import { printDocument } from "../json-document.ts";
import { nextCommand } from "../next-command.ts";
import { addSharedOptions, MODEL_ARGUMENT, type SharedOptions } from "../options.ts";
import { openOutput } from "../output.ts";

interface Options extends SharedOptions, MemoryRequest {
  // one text here
  readonly ctx?: string;
  readonly deep?: boolean;
}

export function inspectCommand(context: CommandContext): Command {
  const command = new Command("inspect")
    .description("show the header of a model: classes of tensors, exact sizes of the presets, memory, findings")
    .argument("<model>", MODEL_ARGUMENT)
    .option("--deep", "look at every weight, not at a sample; of a remote model that is a download")
    .option("--vram <size>", "say what fits this memory of a GPU, like 6GB (docs/memory.md)")
    .option(
      "--ctx <list>",
      "contexts in tokens, like 8k,32k (default: 4k,8k,32k,128k, as far as the model was trained)",
    )
    .option("--kv <type>", "type of keys and values, like q8_0, or of each: q8_0,q4_0 (default: f16)")
    .option("--parallel <n>", "sequences at a time, which share the context out (default: 1)")
    .option("--mmproj <file>", "count the projector that is loaded beside the model");
  return addSharedOptions(command, "strict", "cache").action((path: string, options: Options) =>
    run(path, options, context),
  );
}

async function run(path: string, options: Options, { signal }: CommandContext): Promise<void> {
  const output = openOutput(options);
  const progress = followProgress(output);
  const dir = options.cache === false ? undefined : defaultCacheDir();
  const desk = {
    cache: { dir, logitsLimitBytes: DEFAULT_LOGITS_LIMIT_BYTES },
    signal,
    progress,
    examiner: openExaminer(),
  };
  const { repairable, ...inspection } = await inspectModel(path, options, desk)
    .catch((error: unknown) => {
      tellDamage(path, error, options);
      throw error;
    })
    .finally(progress.end);
  output.result({
    document: inspection,
    text: (paint, width) => renderInspection(inspection, paint, width),
    next: followUp(path, options, repairable, inspection),
  });
  if (options.strict) requireCleanInspection(inspection);
}

/** With --json a file that can't be opened is a document too; a person reads the error. */
function tellDamage(path: string, error: unknown, { json }: Options): void {
  const finding = openingFinding(error);
  if (finding === undefined || !json) return;
  const document = {
    schema: "prism.inspection/1",
    path: shownName(path),
    findings: [inspectedFinding(finding, false)],
    error: errorFields(error),
  };
  printDocument(document);
}

function followUp(
  path: string,
  options: Options,
  repairable: boolean,
  { presets, findings, memory }: Inspection,
): string | undefined {
  if (!isRemote(path) && repairable) {
    return nextCommand("prism", "repair", path, "--dry-run");
  }
  const isQuantized = findings.some(({ code, severity }) => code === "already-quantized" && severity === "error");
  // a plan keeps what no preset can convert
  const isKept = findings.some(({ code }) => code === "weights-unconvertible");
  const plannable = (presets.length > 0 || isKept) && !isQuantized && !findings.some(isRefused);
  const budget = options.vram === undefined ? ["--like", "Q3_K_M"] : vramOptions(options, memory);
  return plannable && budget !== undefined ? nextCommand("prism", "plan", shownName(path), ...budget) : undefined;
}

/** For a plan that fits, of the longest context that was asked for; undefined where none does. */
function vramOptions(
  { vram, ctx, kv, parallel, mmproj }: Options,
  memory: InspectedMemory | undefined,
): string[] | undefined {
  if (memory?.longestContext === undefined) return undefined;
  const { contexts, longestContext, trainedContext = DEFAULT_CONTEXT } = memory;
  const fitting = contexts.map(({ context }) => context).filter((context) => context <= longestContext);
  // what a plan takes without --ctx
  const isDefault = ctx === undefined && Math.min(DEFAULT_CONTEXT, trainedContext) <= longestContext;
  const tokens = ctx === undefined ? longestContext : (fitting.at(-1) ?? longestContext);
  const given = present({
    "--vram": vram,
    "--ctx": isDefault ? undefined : tokens,
    "--kv": kv,
    "--parallel": parallel,
    "--mmproj": mmproj === undefined ? undefined : shownName(mmproj),
  });
  return Object.entries(given).flat().map(String);
}
