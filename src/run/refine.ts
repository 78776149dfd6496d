/**
 * Refinement: probes of the model → densities → a new plan, kept only where it beats the unrefined one by more than two
 * standard errors on chunks that neither the probes nor the verdict see.
 */
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { makeFolder, writeFileAside } from "../disk/aside-file.ts";
import { chooseContext } from "../evaluate/evaluate-options.ts";
import { aboutSeconds } from "../evaluate/text.ts";
import { makePlan, type PlanOptions } from "../plan/make-plan.ts";
import type { Plan } from "../plan/plan.ts";
import { openProbeBench, type ProbeBench } from "../probes/probe-bench.ts";
import { type Probed, probeableTensors, probeModel } from "../probes/probe-model.ts";
import { openProbeStore, probeKey } from "../probes/probe-store.ts";
import { readProbeText } from "../probes/probe-text.ts";
import { probesDocument } from "../probes/probes-document.ts";
import { timeProbes } from "../probes/time-probes.ts";
import { type Tried, tryPlans } from "../probes/try-plans.ts";
import type { Sensitivity } from "../sensitivity/sensitivity.ts";
import type { Refinement } from "./run-document.ts";
import type { RunOptions } from "./run-options.ts";
import type { RunSource } from "./run-source.ts";
import type { RunDirectory } from "./run-state.ts";
import { TIE_STANDARD_ERRORS } from "./verdict.ts";

export interface Refined {
  readonly refinement: Refinement;
  /** What the probes gave, accepted or not. */
  readonly sensitivity: Sensitivity;
}

/** Probes that say something of every class, and of the classes that weigh most along the depth. */
export const DEFAULT_PROBES = 40;

/** Refine a plan. Undefined, with a note, where the time there is allows no useful number of probes. */
export async function refinePlan(
  options: RunOptions,
  directory: RunDirectory,
  source: RunSource,
  planOptions: PlanOptions,
): Promise<Refined | undefined> {
  const { analysis } = planOptions;
  const context = chooseContext(options.context, source.contextTrain);
  const count = await affordableProbes(options, planOptions, context);
  if (count === undefined) return undefined;
  const started = performance.now();
  const bench = await openBench(options, directory, source, planOptions, context);
  try {
    const key = probeKey(options, bench, source.asked.fingerprint, source.asked.imatrix);
    const store = await openProbeStore(
      options.cacheDir === undefined ? directory.measured : join(options.cacheDir, "probes"),
      key,
    );
    const probed = await probeModel({
      analysis,
      prior: planOptions.sensitivity,
      bench,
      store,
      count,
      ...(options.signal === undefined ? {} : { signal: options.signal }),
      onProgress: (done, total) => options.onProgress?.("probing", done, total),
    });
    await writeFileAside(directory.probes, `${JSON.stringify(probesDocument(analysis, probed), null, 1)}\n`);
    const tried = await tryRefined(options, directory, source, planOptions, bench, probed);
    const elapsedMs = Math.round(performance.now() - started);
    return { sensitivity: probed.sensitivity, refinement: describe(planOptions, bench, probed, tried, elapsedMs) };
  } finally {
    await bench.close();
  }
}

/** How many probes, said together with the time they take before they begin. */
async function affordableProbes(
  options: RunOptions,
  { analysis, sensitivity }: PlanOptions,
  context: number,
): Promise<number | undefined> {
  const { probes = DEFAULT_PROBES, limitMs } = options.refine ?? {};
  const asked = Math.min(probes, probeableTensors(analysis));
  const { perProbeMs, besidesMs } = await timeProbes(options, analysis, context);
  const affordable = limitMs === undefined ? asked : Math.min(asked, Math.floor((limitMs - besidesMs) / perProbeMs));
  const classes = new Set(analysis.tensors.filter((tensor) => tensor.eligible).map((tensor) => tensor.class)).size;
  if (limitMs !== undefined && affordable < Math.min(asked, classes)) {
    options.onStage?.(
      `not refining: ${asked} probes would take ${aboutSeconds(asked * perProbeMs + besidesMs)}; sensitivity ${sensitivity.mode} (--refine probes all the same)`,
    );
    return undefined;
  }
  const fewer = affordable < asked ? ` (${asked} would take ${aboutSeconds(asked * perProbeMs + besidesMs)})` : "";
  const time = aboutSeconds(affordable * perProbeMs + besidesMs);
  options.onStage?.(`refining with ${affordable} probes${fewer}, ${time}`);
  return affordable;
}

function openBench(
  options: RunOptions,
  directory: RunDirectory,
  { imatrix, asked: { fingerprint } }: RunSource,
  { analysis }: PlanOptions,
  context: number,
): Promise<ProbeBench> {
  const { engine, model, threads, gpuLayers, seed, text, cacheDir, signal, onStage, onProgress } = options;
  return openProbeBench({
    engine,
    model,
    analysis,
    context,
    threads,
    gpuLayers,
    scratch: directory.scratch,
    allowRequantize: options.allowRequantize ?? false,
    ...(imatrix === undefined ? {} : { imatrix }),
    ...(signal === undefined ? {} : { signal }),
    ...(onStage === undefined ? {} : { onNote: onStage }),
    textOf: (loaded) =>
      readProbeText(loaded, {
        context,
        seed,
        fingerprint,
        ...(text === undefined ? {} : { text }),
        ...(cacheDir === undefined ? {} : { cacheDir }),
        ...(signal === undefined ? {} : { signal }),
        onProgress: (done, total) => onProgress?.("sampling text to probe on", done, total),
      }),
  });
}

/** Try both plans; undefined where the probes change no type. The refined model is left where the plan's belongs. */
async function tryRefined(
  options: RunOptions,
  directory: RunDirectory,
  { imatrix }: RunSource,
  planOptions: PlanOptions,
  bench: ProbeBench,
  { sensitivity }: Probed,
): Promise<Tried | undefined> {
  const unrefined = makePlan(planOptions);
  const refined = makePlan({ ...planOptions, sensitivity });
  if (sameTypes(unrefined, refined)) return undefined;
  options.onStage?.("trying the refined plan against the unrefined");
  await makeFolder(directory.scratch);
  const output = join(directory.scratch, "unrefined.gguf");
  const tried = await tryPlans(
    options,
    bench,
    { plan: unrefined, output },
    { plan: refined, output: directory.model("plan") },
    imatrix,
  );
  await rm(output, { force: true });
  return tried;
}

function sameTypes(a: Plan, b: Plan): boolean {
  return a.tensors.every(({ type }, index) => b.tensors[index]?.type === type);
}

function describe(
  { sensitivity: prior }: PlanOptions,
  { kind, text }: ProbeBench,
  { measurements }: Probed,
  trial: Tried | undefined,
  elapsedMs: number,
): Refinement {
  const accepted = trial !== undefined && trial.difference.value < -TIE_STANDARD_ERRORS * trial.difference.se;
  return {
    prior: prior.mode,
    kind,
    text: text.source,
    context: text.probes.context,
    ...(text.verdictChunks === undefined ? {} : { verdictChunks: text.verdictChunks }),
    probes: measurements,
    elapsedMs,
    ...(trial === undefined ? {} : { trial }),
    accepted,
    outcome: outcomeOf(trial, accepted),
  };
}

function outcomeOf(trial: Tried | undefined, accepted: boolean): string {
  if (trial === undefined) return "the probes change no type: the plan stays as it was";
  const { difference, unrefinedKld, chunks } = trial;
  const percent = ((100 * difference.value) / unrefinedKld).toFixed(1);
  const errors =
    difference.se > 0 ? `, ${(Math.abs(difference.value) / difference.se).toFixed(1)} standard errors` : "";
  const measured = `KLD ${percent} % on ${chunks} other chunks${errors}`;
  return accepted
    ? `refined plan kept: ${measured}`
    : `unrefined plan kept: the refined one is not surely better (${measured})`;
}
