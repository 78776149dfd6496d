/** prism run: analyze, plan, quantize and evaluate, with controls, into one directory. */
import { Command, Option } from "commander";
import { StoppedError } from "../../errors.ts";
import { AUTO_FEEDBACK_WEIGHTS } from "../../feedback/feedback.ts";
import { PROBE_GUARDS, type ProbeGuard } from "../../probes/try-plans.ts";
import { stoppedInWords } from "../../report/stopped-words.ts";
import { renderRun } from "../../report/terminal/evaluation-table.ts";
import { memoryTable } from "../../report/terminal/memory-table.ts";
import { AUTO_TIME_MS } from "../../run/probe-budget.ts";
import { DEFAULT_BUDGET, DEFAULT_PROBES } from "../../run/run-request.ts";
import { FEW_BITS } from "../../run/swap-plan.ts";
import { fitsAlready } from "../../verbs/fits-already.ts";
import type { Exact } from "../../verbs/planning-request.ts";
import { type FinishedRun, parseRunRequest, runModel } from "../../verbs/run.ts";
import { type QualityRequest, SWEEP_PRESETS } from "../../verbs/sweep-request.ts";
import type { CommandContext } from "../context.ts";
import { addEmbeddingOptions, type EmbeddingCliOptions } from "../embedding-options.ts";
import { calibrationOption } from "../feedback-options.ts";
import { fitsAlreadyResult } from "../fits-already-text.ts";
import { requireGates, requireOption } from "../gate-options.ts";
import { takenLines } from "../made-lines.ts";
import { nextCommand } from "../next-command.ts";
import { addSharedOptions, collect, parseInteger, type SharedOptions } from "../options.ts";
import { openOutput } from "../output.ts";
import { addPlanningOptions, type PlanningOptions, planningRequest } from "../planning-options.ts";
import { addReadingOptions, type ReadingCliOptions } from "../prompt-options.ts";
import { keepSplitOption, splitMaxSizeOption } from "../split-options.ts";
import { addJudgingTextOptions, type TextOptions } from "../text-options.ts";
import { withBench, withDesk } from "../with-bench.ts";

interface Options
  extends SharedOptions,
    PlanningOptions,
    TextOptions,
    EmbeddingCliOptions,
    ReadingCliOptions,
    QualityRequest {
  readonly out?: string;
  /** True without a number. */
  readonly refine?: number | true;
  readonly probeTime?: string;
  readonly maxTime?: string;
  readonly swaps?: "auto" | "on" | "off";
  readonly probeGuard?: ProbeGuard;
  readonly baseline?: readonly string[];
  readonly rerank?: string;
  readonly require?: readonly string[];
  readonly feedback?: "auto" | "on" | "off";
  readonly calibration?: readonly string[];
  readonly speed?: "auto" | "on" | "off";
  readonly splitMaxSize?: string;
  readonly keepSplit?: boolean;
  readonly kinds?: readonly string[] | true;
  readonly keepModels?: boolean;
  readonly allowRequantize?: boolean;
  // of two, and here for sure
  readonly exact?: Exact;
  readonly strict?: boolean;
  readonly forceFindings?: boolean;
}

const HELP = `
Without a budget the plan gets the size of ${DEFAULT_BUDGET}. A quality is met with one
standard error to spare.

Probes measure what degrading a part of the model does to it. With
--sensitivity auto as many are taken as a model of this size usually allows in
${AUTO_TIME_MS / 60_000} minutes, the time being said first; probes.json in the directory serves
--sensitivity elsewhere, from the first probe on.

The importance matrix weighs the measured error, and the quantizer uses it; the
nearest presets are made without it too.

With --kv q8_0 the plan and the presets are judged with such caches of keys and
values too.

Error feedback makes models/plan-feedback.gguf beside plan.gguf: better codes,
in types planned for them (plans/plan-feedback.json), at the same bytes.

A family (--budgets, --sizes) keeps a file of each size,
models/plan-4.25bpw.gguf, with plan and recipes, and judges it against the
preset nearest to it. Its knee is the plan; where there is none, the member
nearest to ${DEFAULT_BUDGET} is: models/plan.gguf is that file.

The directory holds models/plan.gguf, plans/plan.json with its recipes,
evaluations/, report.html to look at, and state.json (the --json).
The same command goes on where an interrupted one stopped.`;

export function runCommand(context: CommandContext): Command {
  const command = new Command("run")
    .description("all of it: plan, quantize and evaluate, against stock presets, uniform types and shuffles")
    .argument("<model>", "the unquantized GGUF file, or the first of its shards")
    .option("-o, --out <dir>", "directory of the run (default: prism-run-MODEL)");
  addPlanningOptions(
    command,
    "importance matrix, or none; default: made of text sampled from the model (docs/imatrix.md)",
  )
    .addOption(
      new Option(
        "--refine [n]",
        `probe the model n times (default ${DEFAULT_PROBES}; as many as it has tensors: each alone) and plan with what that shows; 0: don't`,
      ).argParser((text) => parseInteger("--refine", text, 0, 1e5)),
    )
    .option("--probe-time <time>", "probe for about so long, like 30m or 2h; the head first, then what is worth most")
    .option(
      "--max-time <time>",
      "end in order after so long, with what there is (exit code 6); the same command goes on",
    )
    .addOption(
      new Option(
        "--swaps <when>",
        `move single tensors of the refined plan a step up or down in place, and swap types where that helps: on, off, or auto, below ${FEW_BITS} bits per weight if the time suits`,
      )
        .choices(["auto", "on", "off"])
        .default("auto"),
    )
    .addOption(
      new Option(
        "--probe-guard <what>",
        "keep no refined plan whose 99th percentile of KL divergence is worse",
      ).choices(PROBE_GUARDS),
    )
    .option("--kld <nats>", "find the smallest file whose KL divergence is at most this, like 0.05")
    .option(
      "--ppl-ratio <ratio>",
      "find the smallest file whose perplexity is at most this times the reference's, like 1.02",
    )
    .option("--budgets <list>", "make a family: a file at each of these bits per weight, like 3,3.5,4,5")
    .option("--sizes <list>", "the same at sizes or presets, like 3GB,Q4_K_M,6GB")
    .option(
      "--sweep",
      `measure plans at the sizes of ${SWEEP_PRESETS.join(", ")}, and keep the file of the knee of their front`,
    )
    .option(
      "--baseline <list>",
      "compare with these: presets like Q3_K_M,Q4_K_M (default: the nearest smaller and larger), GGUF files of others (a path or hf:), files of types (repeatable)",
      collect,
    )
    .option(
      "--rerank <file>",
      "judge by these documents: JSON Lines of {query, documents, relevance?}; default: prism's own set, for rerankers",
    )
    .addOption(requireOption('"kld<=0.05 && size<=6GB && beats(Q4_K_M)"'))
    .addOption(
      new Option(
        "--feedback <when>",
        `make a file with codes chosen with error feedback too: on, off, or auto, for models of up to ${AUTO_FEEDBACK_WEIGHTS / 1e9} billion weights`,
      )
        .choices(["auto", "on", "off"])
        .default("auto"),
    )
    .addOption(calibrationOption())
    .addOption(
      new Option(
        "--speed <when>",
        "measure tokens per second of the plan and the presets: on, off, or auto, wherever it says something",
      )
        .choices(["auto", "on", "off"])
        .default("auto"),
    )
    .addOption(splitMaxSizeOption())
    .addOption(keepSplitOption())
    .option("--kinds [file...]", "judge the plan and the presets by kind of text too, as prism evaluate --kinds does")
    .option("--keep-models", "keep the models of the controls too")
    .option("--allow-requantize", "accept a source that is already quantized");
  addReadingOptions(command);
  addEmbeddingOptions(command);
  addJudgingTextOptions(command);
  return addSharedOptions(
    command,
    "gpu-layers",
    "cache-limit",
    "cache",
    "threads",
    "backend",
    "exact",
    "memory",
    "llama-dir",
    "seed",
    "strict",
    "force-findings",
    "force",
  )
    .addHelpText("after", HELP)
    .action((model: string, options: Options) => run(model, options, context));
}

async function run(model: string, options: Options, context: CommandContext): Promise<void> {
  const output = openOutput(options);
  const refine = options.refine === true ? DEFAULT_PROBES : options.refine;
  const request = await withDesk(options, context, output, (desk) =>
    parseRunRequest(model, { ...planningRequest(options), refine }, desk),
  );
  const { out } = request;
  const fits = request.sweep === undefined ? await fitsAlready(model, planningRequest(options)) : undefined;
  if (fits !== undefined) return output.result(fitsAlreadyResult("run", model, fits));
  try {
    const finished = await withBench(options, context, output, (bench) => runModel(model, request, bench));
    output.result({
      document: finished.run,
      text: (_, width) =>
        `${renderRun(finished.run, width)}\n${memoryOf(finished)}report: ${finished.report}\n\n${fileOf(finished)}`,
      next: finished.plan === undefined ? undefined : nextCommand("prism", "show", `${out}/plans/plan.json`),
    });
    requireGates([{ name: "the plan", gates: finished.run.gates }], remedyOf(finished.run.gates));
    const stopped = stoppedInWords(finished.run);
    if (stopped !== undefined) throw new StoppedError(stopped);
  } finally {
    if (context.signal.aborted) output.note(`what is finished stays in ${out}: the same command goes on from there`);
  }
}

/** Where the file is, and how it runs; nothing of a run that was stopped before its end. */
function fileOf({ run, plan, out }: FinishedRun): string {
  return plan === undefined ? "" : takenLines(run, plan, out).join("\n");
}

/** A file that is smaller is beaten by none that is larger: there less is more. */
function remedyOf(gates: FinishedRun["run"]["gates"]): string {
  const missed = gates.filter(({ met }) => !met).flatMap((gate) => gate.of ?? [gate]);
  const isTooLarge = missed.some(({ verdictCode }) => verdictCode === "smaller-file");
  if (!isTooLarge) return "give a larger budget, or a gate it can meet";
  return "a plan beats only what is no smaller: give a budget no larger than that file, like --like Q4_K_M, or a gate it can meet";
}

/** What the memory goes to that the plan was made for. */
function memoryOf({ plan }: FinishedRun): string {
  const table = plan && memoryTable(plan);
  return table === undefined ? "" : `${table}\n\n`;
}
