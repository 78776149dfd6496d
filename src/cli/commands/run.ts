/** prism run: analyze, plan, quantize and evaluate, with controls, into one directory. */

import { createHash } from "node:crypto";
import { Command, Option } from "commander";
import { requireLocal } from "../../bytes/remote-name.ts";
import { openEngine } from "../../engine/open-engine.ts";
import { GateError, UsageError } from "../../errors.ts";
import { FILE_TYPE_NAMES, type FileType, parseFileType } from "../../ggml/file-types.ts";
import { compileMissingKernels } from "../../kernels/compile-kernels.ts";
import { renderRun } from "../../report/terminal/evaluation-table.ts";
import { parseGate } from "../../run/gates.ts";
import { DEFAULT_PROBES } from "../../run/refine.ts";
import { type RunOptions, run } from "../../run/run.ts";
import type { Run } from "../../run/run-document.ts";
import { DEFAULT_SENSITIVITY } from "../../sensitivity/sensitivity-modes.ts";
import { followDescription, openBackend, orClose } from "../backends.ts";
import type { CommandContext } from "../context.ts";
import { addEvaluationOptions, type EvaluationCliOptions, evaluationSettings } from "../evaluation-options.ts";
import { strictOption } from "../model-findings.ts";
import { nextCommand } from "../next-command.ts";
import {
  backendOption,
  collect,
  exactOption,
  forceOption,
  jsonOption,
  llamaDirOption,
  memoryOption,
  parseInteger,
  quietOption,
  seedOption,
  threadsOption,
} from "../options.ts";
import { openOutput } from "../output.ts";
import { defaultRunDirectory } from "../output-names.ts";
import {
  guardSwitches,
  loadSensitivity,
  type PlanRequest,
  parseBudget,
  parseConstraints,
  parseMode,
} from "../plan-model.ts";
import { addPlanningOptions } from "../planning-options.ts";
import { parseQuality, type QualityRequest, SWEEP_PRESETS } from "../quality-options.ts";
import { readText } from "../read-document.ts";
import { RUN_REPORT, writeRunReport } from "../report-files.ts";
import { followStages } from "../stages.ts";

interface Options extends PlanRequest, EvaluationCliOptions, QualityRequest {
  readonly out?: string;
  /** True without a number. */
  readonly refine?: number | true;
  readonly baseline?: string;
  readonly rerank?: string;
  readonly require?: readonly string[];
  readonly keepModels?: boolean;
  readonly allowRequantize?: boolean;
  readonly llamaDir?: string;
  readonly force?: boolean;
  readonly json?: boolean;
  readonly quiet?: boolean;
}

/** The budget most people want: the size of the most downloaded preset. */
const DEFAULT_BUDGET = "Q4_K_M";

/** Where no other sensitivity is asked for, probes are taken if they can be had in this time. */
const PROBE_LIMIT_MS = 10 * 60_000;

const HELP = `
Without a budget the plan gets the size of ${DEFAULT_BUDGET}. A quality is met with one standard error to spare.
Probes measure what degrading a part of the model does to it. With --sensitivity auto they are taken if that needs no
more than ${PROBE_LIMIT_MS / 60_000} minutes, the time being said first; probes.json in the directory serves --sensitivity elsewhere.
The same command goes on where an interrupted one stopped.
The directory holds models/plan.gguf, plans/plan.json with its recipes, evaluations/,
report.html to look at, and state.json (the --json).`;

export function runCommand(context: CommandContext): Command {
  const command = new Command("run")
    .description("all of it: plan, quantize and evaluate, against stock presets, uniform types and shuffles")
    .argument("<model>", "the unquantized GGUF file, or the first of its shards")
    .option("--out <dir>", "directory of the run (default: prism-run-MODEL)");
  addPlanningOptions(command)
    .addOption(
      new Option(
        "--refine [n]",
        `probe the model n times (default ${DEFAULT_PROBES}; as many as it has tensors: each alone) and plan with what that shows; 0: don't`,
      ).argParser((text) => parseInteger("--refine", text, 0, 1e5)),
    )
    .option("--kld <nats>", "find the smallest file whose KL divergence is at most this, like 0.05")
    .option(
      "--ppl-ratio <ratio>",
      "find the smallest file whose perplexity is at most this times the reference's, like 1.02",
    )
    .option("--budgets <list>", "measure plans at these bits per weight too, like 3,3.5,4,5; the knee is the plan")
    .option("--sweep", `the same at the sizes of ${SWEEP_PRESETS.join(", ")}`)
    .option("--baseline <presets>", "compare with these, like Q3_K_M,Q4_K_M (default: the nearest smaller and larger)")
    .option(
      "--rerank <file>",
      "judge by these documents: JSON Lines of {query, documents, relevance?}; default: prism's own set, for rerankers",
    )
    .option("--require <condition>", 'exit with 3 unless it holds, like "kld<=0.05" (repeatable)', collect)
    .addOption(strictOption())
    .option("--keep-models", "keep the models of the controls too")
    .option("--allow-requantize", "accept a source that is already quantized");
  return addEvaluationOptions(command)
    .addOption(threadsOption())
    .addOption(backendOption())
    .addOption(exactOption())
    .addOption(memoryOption())
    .addOption(llamaDirOption())
    .addOption(seedOption())
    .addOption(forceOption())
    .addOption(jsonOption())
    .addOption(quietOption())
    .addHelpText("after", HELP)
    .action((model: string, options: Options) => runRun(model, options, context));
}

async function runRun(model: string, options: Options, { signal }: CommandContext): Promise<void> {
  requireLocal(model);
  const output = openOutput(options);
  const out = options.out ?? defaultRunDirectory(model);
  const budgetGiven = hasBudget(options);
  const quality = parseQuality(options, budgetGiven);
  const refine = parseRefine(options);
  const { sensitivity } = options;
  const request = {
    ...quality,
    budgetGiven,
    budget: parseBudget(budgetGiven ? options : { ...options, like: DEFAULT_BUDGET }),
    mode: parseMode(options.mode),
    constraints: parseConstraints(options),
    baselines: parseBaselines(options.baseline),
    gates: (options.require ?? []).map(parseGate),
    sensitivity: { name: await sensitivityName(sensitivity), of: await loadSensitivity(sensitivity) },
    ...(refine === undefined ? {} : { refine }),
  };
  if (!budgetGiven && quality.target === undefined && quality.sweep === undefined) {
    output.note(`no budget given: at most the size of ${DEFAULT_BUDGET}; --bpw, --size or --like choose another`);
  }
  await compileMissingKernels({ note: output.note, signal });
  const backend = await openBackend(options.backend, options.threads);
  const noteChange = followDescription(backend);
  const engine = await orClose(backend, openEngine(options));
  const stages = followStages(output);
  try {
    if (engine.info.kind === "programs" && options.text === undefined) {
      throw new UsageError("llama.cpp's programs can't sample a text; give --text FILE, or leave --llama-dir out");
    }
    const result = await run({
      ...request,
      ...evaluationSettings(options),
      model,
      out,
      engine,
      backend,
      guards: guardSwitches(options),
      seed: options.seed,
      threads: options.threads,
      memoryBytes: options.memory,
      ...options.exact,
      keepModels: options.keepModels ?? false,
      allowRequantize: options.allowRequantize ?? false,
      force: options.force ?? false,
      strict: options.strict ?? false,
      signal,
      ...(options.imatrix === undefined ? {} : { imatrix: options.imatrix }),
      ...(options.rerank === undefined ? {} : { rerankSet: options.rerank }),
      onStage: stages.begin,
      onProgress: stages.update,
    } satisfies RunOptions);
    stages.end();
    await writeRunReport(out);
    output.result({
      document: result,
      text: () => `${renderRun(result)}\nreport: ${out}/${RUN_REPORT}`,
      next: nextCommand("prism", "show", `${out}/plans/plan.json`),
    });
    checkGates(result);
  } finally {
    stages.end();
    noteChange(output);
    if (signal.aborted) output.note(`what is finished stays in ${out}: the same command goes on from there`);
    await Promise.all([engine.close(), backend.close()]);
  }
}

function hasBudget({ bpw, size, like }: Options): boolean {
  return bpw !== undefined || size !== undefined || like !== undefined;
}

/** How many probes, and in which time where the user did not ask for them. */
function parseRefine({ refine, sensitivity }: Options): RunOptions["refine"] {
  if (refine === true) return { probes: DEFAULT_PROBES };
  if (refine !== undefined) return refine === 0 ? undefined : { probes: refine };
  return sensitivity === DEFAULT_SENSITIVITY ? { probes: DEFAULT_PROBES, limitMs: PROBE_LIMIT_MS } : undefined;
}

/** A file of densities may change under its name, and then the run is another. */
async function sensitivityName(mode: string): Promise<string> {
  if (!/[./\\]/.test(mode)) return mode;
  const hash = createHash("sha256")
    .update(await readText(mode))
    .digest("hex");
  return `densities of SHA-256 ${hash}`;
}

function parseBaselines(text: string | undefined): FileType[] {
  if (text === undefined) return [];
  const fileTypes = text.split(",").map((name) => {
    const fileType = parseFileType(name.trim());
    if (fileType !== undefined) return fileType;
    throw new UsageError(
      `--baseline "${name.trim()}": not a preset of llama-quantize; give one or more of ${FILE_TYPE_NAMES.join(", ")}, like Q3_K_M,Q4_K_M`,
    );
  });
  return [...new Set(fileTypes)];
}

function checkGates({ gates }: Run): void {
  const missed = gates.filter(({ met }) => !met);
  if (missed.length === 0) return;
  const words = missed.map(
    ({ gate, value }) => `${gate} (got ${value === undefined ? "no value" : value.toPrecision(4)})`,
  );
  throw new GateError(`the plan misses ${words.join(", ")}; give a larger budget, or a gate it can meet`);
}
