/** All of it: plan, quantize and evaluate into one directory, with controls and a report. */
import { join } from "node:path";
import type { Bench } from "../bench.ts";
import { requireLocal } from "../bytes/remote-name.ts";
import { fileExists } from "../disk/aside-file.ts";
import { UsageError } from "../errors.ts";
import type { EmbeddingPooling } from "../ggml/model-facts.ts";
import type { Desk } from "../intake/open-named-model.ts";
import { protectInputs } from "../intake/protect-inputs.ts";
import type { Plan } from "../plan/plan.ts";
import { present } from "../present.ts";
import { parseSplitSize } from "../quantize/split-file.ts";
import type { ReadingOptions } from "../rerank/rerank-scorer.ts";
import { deadlineAfter } from "../run/deadline.ts";
import { RUN_STAGES } from "../run/estimate.ts";
import { type Gate, labelsOf, parseGates, requirePossibleRows } from "../run/gates.ts";
import { parseTime } from "../run/parse-time.ts";
import { publishedRecipes } from "../run/published-recipes.ts";
import { rivalLabels } from "../run/rivals.ts";
import { run } from "../run/run.ts";
import type { Run } from "../run/run-document.ts";
import { DEFAULT_BUDGET, imatrixFile, NO_IMATRIX, type RunRequest } from "../run/run-request.ts";
import { runDirectory, runFiles } from "../run/run-state.ts";
import { DEFAULT_SENSITIVITY } from "../sensitivity/sensitivity-modes.ts";
import { type Baselines, baselinesOf } from "./baselines.ts";
import { offeredTypes } from "./fast-types.ts";
import { fitVram } from "./fit-vram.ts";
import { loadPlan } from "./load-document.ts";
import { defaultRunDirectory } from "./output-names.ts";
import {
  budgetOf,
  constraintsOf,
  exactOf,
  loadSensitivity,
  modeOf,
  type PlanningRequest,
  typesOf,
} from "./planning-request.ts";
import { RUN_REPORT, writeRunReport } from "./report-source.ts";
import { parseQuality, type QualityRequest } from "./sweep-request.ts";
import { cacheToJudge, vramOf } from "./vram-request.ts";

export interface RunModelRequest extends PlanningRequest, QualityRequest, ReadingOptions {
  /** The run's directory; by default prism-run-MODEL in this folder. */
  readonly out?: string | undefined;
  /** So many probes; 0: none. By default what the model's size allows, if no sensitivity is asked for. */
  readonly refine?: number | undefined;
  /** As many probes as fit into this time: seconds, or like "30m" or "2h". */
  readonly probeTime?: number | string | undefined;
  /** Swap types of the refined plan by what moves of it do in place; auto: below 3 bits per weight, if the time suits. */
  readonly swaps?: "auto" | "on" | "off" | undefined;
  /** Keep no refined plan whose 99th percentile of KL divergence is worse. */
  readonly probeGuard?: "p99" | undefined;
  /**
   * What to compare with: presets (by default the nearest smaller and larger), GGUF files that others made of the model
   * (paths, `hf:` or `https:`, judged as they are), and files of types (a plan, a recipe, a tensor-types.txt).
   */
  readonly baseline?: readonly string[] | string | undefined;
  /** Conditions like "kld<=0.05 && beats(Q4_K_M)" that `gates` of the result answers. */
  readonly require?: readonly string[] | undefined;
  /** Documents a reranker is judged by (JSON Lines). */
  readonly rerank?: string | undefined;
  /** Texts that embeddings are judged by (JSON Lines). */
  readonly retrieval?: string | undefined;
  /** How hidden states become an embedding; by default as the model says. */
  readonly pooling?: EmbeddingPooling | undefined;
  readonly queryPrefix?: string | undefined;
  readonly documentPrefix?: string | undefined;
  readonly text?: string | undefined;
  readonly context?: number | undefined;
  readonly chunks?: number | undefined;
  /** Choose the codes of the plan's file with error feedback; auto: for models of up to a billion weights. */
  readonly feedback?: "auto" | "on" | "off" | undefined;
  /** Text to choose them by, a file a kind. */
  readonly calibration?: readonly string[] | undefined;
  /** Measure tokens per second of the plan and the presets; auto: wherever next tokens are judged. */
  readonly speed?: "auto" | "on" | "off" | undefined;
  /** End in order with what there is when this time is over: seconds, or like "30m" or "2h". It begins with the call. */
  readonly maxTime?: number | string | undefined;
  /** Have the models that are kept in files no larger than this, like "50GB"; one that is no larger stays one. */
  readonly splitMaxSize?: string | undefined;
  /** Have them in as many files as the model has. */
  readonly keepSplit?: boolean | undefined;
  /** Judge the plan and the presets by kind of text too: files, a kind each; true: the text that comes with PRISM. */
  readonly kinds?: readonly string[] | true | undefined;
  readonly keepModels?: boolean | undefined;
  readonly allowRequantize?: boolean | undefined;
  readonly force?: boolean | undefined;
}

export interface FinishedRun {
  readonly run: Run;
  /** Its directory. */
  readonly out: string;
  readonly report: string;
  /** The plan of models/plan.gguf; absent where --max-time was over before it. */
  readonly plan?: Plan;
}

/** What is settled once the machine is known is still open in it. */
export interface ParsedRunRequest extends RunRequest {
  /** Choose no type that is slow here. */
  readonly preferSpeed?: boolean | undefined;
}

/** Check what was asked, before anything is opened; `desk` keeps what is fetched for it. Throws UsageError. */
export async function parseRunRequest(
  model: string,
  request: RunModelRequest,
  desk?: () => Promise<Desk>,
): Promise<ParsedRunRequest> {
  requireLocal(model);
  const { maxTime } = request;
  const deadline =
    maxTime === undefined ? undefined : deadlineAfter(parseTime("--max-time", maxTime), String(maxTime).trim());
  const size = budgetOf(request);
  // without a memory to fit it says how files are judged
  const memory = vramOf(request.vram === undefined ? { ...request, kv: undefined } : request);
  if (memory?.ramBytes !== undefined && request.swaps === "on") {
    throw new UsageError("--swaps on: types are not swapped between a GPU's memory and --ram; leave one of them out");
  }
  const budgetGiven = size !== undefined || memory !== undefined;
  const quality = parseQuality(request, budgetGiven);
  const constraints = constraintsOf(request);
  const types = typesOf(request);
  const baselines = await baselinesOf(request.baseline);
  const { text, context, chunks, imatrix, feedback, calibration, speed, keepModels, allowRequantize, force } = request;
  const { strict, forceFindings, keepSplit } = request;
  const hasImportance = imatrix === NO_IMATRIX ? undefined : () => true;
  const fitted = memory && (await fitVram(model, memory, { constraints, types, hasImportance }));
  return {
    out: request.out ?? defaultRunDirectory(model),
    ...quality,
    budget: fitted?.budget ?? size,
    budgetGiven,
    mode: modeOf(request),
    constraints: [...constraints, ...(fitted?.floors ?? [])],
    guards: request.guards,
    types,
    preferSpeed: request.preferSpeed,
    ...baselines,
    gates: await gatesOf(request, baselines),
    sensitivity: await loadSensitivity(request, desk),
    ...refinementOf(request),
    rerankSet: request.rerank,
    reading: readingOf(request),
    embedding: embeddingOf(request),
    ...exactOf(request.exact),
    kinds: request.kinds,
    kv: cacheToJudge(request.kv),
    splitMaxBytes: parseSplitSize(request.splitMaxSize),
    keepSplit,
    ...{
      text,
      context,
      chunks,
      imatrix,
      feedback,
      calibration,
      speed,
      strict,
      forceFindings,
      keepModels,
      allowRequantize,
      deadline,
      force,
    },
  };
}

/** Run, and write the report. Missed gates are in the result, not thrown. */
export async function runModel(model: string, request: ParsedRunRequest, bench: Bench): Promise<FinishedRun> {
  const { budgetGiven, target, sweep, text } = request;
  if (!budgetGiven && target === undefined && sweep === undefined) {
    bench.progress.note(
      `no budget given: at most the size of ${DEFAULT_BUDGET}; --bpw, --size, --like or --vram choose another`,
    );
  }
  if (bench.engine.programs !== undefined && text === undefined) {
    throw new UsageError("llama.cpp's programs can't sample a text; give --text FILE, or leave --llama-dir out");
  }
  const { out, rerankSet, embedding, sensitivity, calibration = [], rivals = [], templates = [] } = request;
  const outputs = [...(await runFiles(runDirectory(out))), join(out, RUN_REPORT)];
  const sets = [rerankSet, embedding?.set, ...(request.kinds === true ? [] : (request.kinds ?? []))];
  await protectInputs(outputs, [
    model,
    text,
    imatrixFile(request),
    ...sets,
    sensitivity?.path,
    ...calibration,
    ...rivals,
    ...templates.map(({ template }) => template.name),
  ]);
  const { preferSpeed, ...asked } = request;
  const types = await offeredTypes({ preferSpeed, types: asked.types }, async () => bench);
  const finished = await run(model, { ...asked, types }, bench);
  if (finished.stopped === undefined) bench.progress.begin?.(RUN_STAGES.report);
  const report = await writeRunReport(request.out);
  const { plan: path } = runDirectory(out);
  const plan = (await fileExists(path)) ? await loadPlan(path) : undefined;
  return { run: finished, out: request.out, report, ...present({ plan }) };
}

/** The gates, which name rows that a run may have. */
async function gatesOf(
  { require = [] }: RunModelRequest,
  { rivals, templates }: Pick<Baselines, "rivals" | "templates">,
): Promise<Gate[]> {
  const gates = parseGates(require);
  const published = labelsOf(gates).length === 0 ? [] : await publishedRecipes();
  requirePossibleRows(gates, [
    ...published.map(({ name }) => name),
    ...rivalLabels(rivals),
    ...templates.map(({ label }) => label),
  ]);
  return gates;
}

/** Undefined where nothing was asked. */
function readingOf({ yes, no, parseSpecial, pairs }: RunModelRequest): RunRequest["reading"] {
  const asked = present({ yes, no, parseSpecial, pairs });
  return Object.keys(asked).length === 0 ? undefined : asked;
}

/** The same of embeddings. */
function embeddingOf({ retrieval, pooling, queryPrefix, documentPrefix }: RunModelRequest): RunRequest["embedding"] {
  const asked = present({ set: retrieval, pooling, queryPrefix, documentPrefix });
  return Object.keys(asked).length === 0 ? undefined : asked;
}

/** What is probed, and what becomes of it. */
function refinementOf(request: RunModelRequest): Pick<RunRequest, "refine" | "swaps" | "probeGuard"> {
  const { swaps, probeGuard } = request;
  const refine = refineOf(request);
  const needing = swaps === "on" ? "--swaps on" : probeGuard === undefined ? undefined : "--probe-guard";
  if (refine === "none" && needing !== undefined) {
    throw new UsageError(
      `${needing} is about a refined plan, and nothing is probed here; add --refine, or leave it out`,
    );
  }
  return { refine, swaps, probeGuard };
}

/** How many probes, or in which time; where another sensitivity was asked for, only if the user asked for probes too. */
function refineOf({ refine, probeTime, sensitivity = DEFAULT_SENSITIVITY }: RunModelRequest): RunRequest["refine"] {
  if (refine === 0) {
    if (probeTime !== undefined)
      throw new UsageError("--refine 0 asks for no probes, and --probe-time for some; leave one out");
    return "none";
  }
  if (refine === undefined && probeTime === undefined) return sensitivity === DEFAULT_SENSITIVITY ? {} : "none";
  return present({
    probes: refine,
    timeMs: probeTime === undefined ? undefined : parseTime("--probe-time", probeTime),
  });
}
