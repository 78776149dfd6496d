/**
 * Refinement: probes of the model → densities → a new plan, kept only where it beats the unrefined one by more than two
 * standard errors on chunks that neither the probes nor the verdict see.
 */
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { makeFolder } from "../disk/aside-file.ts";
import { chooseContext } from "../evaluate/evaluate-options.ts";
import { aboutSeconds } from "../evaluate/text.ts";
import { makePlan, type PlanOptions } from "../plan/make-plan.ts";
import type { Plan } from "../plan/plan.ts";
import { present } from "../present.ts";
import { type Probed, probeableTensors, probeModel } from "../probes/probe-model.ts";
import { openProbeSite, type ProbeSite, type ProbeSiteRequest } from "../probes/probe-site.ts";
import { openProbeStore, probeKey } from "../probes/probe-store.ts";
import { readProbeText } from "../probes/probe-text.ts";
import { probesDocument } from "../probes/probes-document.ts";
import { timeProbes } from "../probes/time-probes.ts";
import { type Tried, tryPlans } from "../probes/try-plans.ts";
import type { Sensitivity } from "../sensitivity/sensitivity.ts";
import { writeKept } from "./kept-files.ts";
import type { OpenRun } from "./open-run.ts";
import type { Refinement, Run } from "./run-document.ts";
import { TIE_STANDARD_ERRORS } from "./verdict.ts";

export interface Refined {
  /** Knows the densities that were written. */
  readonly state: Run;
  readonly refinement: Refinement;
  /** What the probes gave, accepted or not. */
  readonly sensitivity: Sensitivity;
}

/** Refine a plan. Undefined, with a note, where the time there is allows no useful number of probes. */
export async function refinePlan(run: OpenRun, begun: Run, planOptions: PlanOptions): Promise<Refined | undefined> {
  const { request, source, directory, bench } = run;
  const { analysis } = planOptions;
  const context = chooseContext(request.context, source.model.facts.contextTrain);
  const count = await affordableProbes(run, planOptions, context);
  if (count === undefined) return undefined;
  const started = performance.now();
  const site = await openSite(run, planOptions, context);
  try {
    const key = probeKey(bench, site, source.asked.fingerprint, source.imatrix?.sha256);
    const { dir } = bench.cache;
    const store = await openProbeStore(dir === undefined ? directory.measured : join(dir, "probes"), key, bench);
    const probed = await probeModel({ analysis, prior: planOptions.sensitivity, site, store, count }, bench);
    const densities = `${JSON.stringify(probesDocument(analysis, probed), null, 1)}\n`;
    const state = await writeKept(begun, directory, directory.probes, densities);
    const tried = await tryRefined(run, planOptions, site, probed);
    const elapsedMs = Math.round(performance.now() - started);
    const refinement = describe(planOptions, site, probed, tried, elapsedMs);
    return { state, sensitivity: probed.sensitivity, refinement };
  } finally {
    await site.close();
  }
}

/** How many probes, said together with the time they take before they begin. */
async function affordableProbes(
  { request: { refine }, source, bench }: OpenRun,
  { analysis, sensitivity }: PlanOptions,
  context: number,
): Promise<number | undefined> {
  const { probes, limitMs } = refine === "none" ? { probes: 0, limitMs: undefined } : { limitMs: undefined, ...refine };
  const asked = Math.min(probes, probeableTensors(analysis));
  const { perProbeMs, besidesMs } = await timeProbes(source.model, analysis, context, bench);
  const affordable = limitMs === undefined ? asked : Math.min(asked, Math.floor((limitMs - besidesMs) / perProbeMs));
  const classes = new Set(analysis.tensors.filter((tensor) => tensor.eligible).map((tensor) => tensor.class)).size;
  const whole = aboutSeconds(asked * perProbeMs + besidesMs);
  if (limitMs !== undefined && affordable < Math.min(asked, classes)) {
    bench.progress.note(
      `not refining: ${asked} probes would take ${whole}; sensitivity ${sensitivity.mode} (--refine probes all the same)`,
    );
    return undefined;
  }
  const fewer = affordable < asked ? ` (${asked} would take ${whole})` : "";
  const time = aboutSeconds(affordable * perProbeMs + besidesMs);
  bench.progress.note(`refining with ${affordable} probes${fewer}, ${time}`);
  return affordable;
}

function openSite(
  { request: { text, allowRequantize }, source: { model, imatrix }, directory, bench }: OpenRun,
  { analysis }: PlanOptions,
  context: number,
): Promise<ProbeSite> {
  const textOf: ProbeSiteRequest["textOf"] = (loaded) => readProbeText(loaded, model, { context, text }, bench);
  const { scratch } = directory;
  return openProbeSite(model, { analysis, imatrix, context, scratch, textOf, allowRequantize }, bench);
}

/** Try both plans; undefined where the probes change no type. The refined model is left where the plan's belongs. */
async function tryRefined(
  { request: { allowRequantize }, source: { model, imatrix }, directory, bench }: OpenRun,
  planOptions: PlanOptions,
  site: ProbeSite,
  { sensitivity }: Probed,
): Promise<Tried | undefined> {
  const unrefined = makePlan(planOptions);
  const refined = makePlan({ ...planOptions, sensitivity });
  if (sameTypes(unrefined, refined)) return undefined;
  bench.progress.note("trying the refined plan against the unrefined");
  await makeFolder(directory.scratch);
  const output = join(directory.scratch, "unrefined.gguf");
  const tried = await tryPlans(
    model,
    {
      site,
      unrefined: { plan: unrefined, output },
      refined: { plan: refined, output: directory.model("plan") },
      imatrix,
      allowRequantize,
    },
    bench,
  );
  await rm(output, { force: true });
  return tried;
}

function sameTypes(a: Plan, b: Plan): boolean {
  return a.tensors.every(({ type }, index) => b.tensors[index]?.type === type);
}

function describe(
  { sensitivity: prior }: PlanOptions,
  { kind, text }: ProbeSite,
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
    ...present({ verdictChunks: text.verdictChunks }),
    probes: measurements,
    elapsedMs,
    ...present({ trial }),
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
