/**
 * Refinement: probes of the model → densities → a new plan, kept only where it beats the unrefined one by more than two
 * standard errors on chunks that neither the probes nor the verdict see.
 */
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { makeFolder, writeFileAside } from "../disk/aside-file.ts";
import { chooseContext } from "../evaluate/evaluate-options.ts";
import { decodedBy } from "../evaluate/gpu-layers.ts";
import { aboutSeconds } from "../evaluate/text.ts";
import { makePlan, type PlanOptions } from "../plan/make-plan.ts";
import type { Plan } from "../plan/plan.ts";
import { present } from "../present.ts";
import { probeableTensors, probeModel } from "../probes/probe-model.ts";
import { type OpenSite, openProbeSite, type ProbeSite, type ProbeSiteRequest } from "../probes/probe-site.ts";
import { openProbeStore, probeKey } from "../probes/probe-store.ts";
import { type ProbeTextRequest, readProbeText } from "../probes/probe-text.ts";
import type { Probed } from "../probes/probed.ts";
import { probesDocument } from "../probes/probes-document.ts";
import { timeChunks } from "../probes/time-chunks.ts";
import { type Tried, tryPlans } from "../probes/try-plans.ts";
import type { Sensitivity } from "../sensitivity/sensitivity.ts";
import { writeKept } from "./kept-files.ts";
import type { OpenRun } from "./open-run.ts";
import { decideProbeBudget, type ProbeBudgetInput, probeTimeMs } from "./probe-budget.ts";
import type { ProbeBudget, Refinement, Run } from "./run-document.ts";
import { saveRun } from "./run-state.ts";
import { TIE_STANDARD_ERRORS } from "./verdict.ts";

/**
 * Probes of a plan that is kept without a trial: the head and three classes gave four fifths of what all tensors do on
 * measured models, two made it worse than none (research/probe-simulation.ts).
 */
const LEAST_UNTRIED = 4;

export interface Refined {
  /** Knows the densities that were written. */
  readonly state: Run;
  readonly refinement: Refinement;
  /** What the probes gave, accepted or not. */
  readonly sensitivity: Sensitivity;
}

/** Refine a plan. Undefined, with a note, where the time there is allows no probe. */
export async function refinePlan(run: OpenRun, begun: Run, planOptions: PlanOptions): Promise<Refined | undefined> {
  const { request, source, directory, bench } = run;
  const context = chooseContext(request.context, source.model.facts.contextTrain);
  const decided = await decideProbes(run, begun, planOptions, context);
  if (decided === undefined) return undefined;
  const { budget } = decided;
  const started = performance.now();
  const site = await openSite(run, planOptions, { ...budget, context });
  try {
    const key = probeKey(bench, site, source.asked.fingerprint, source.imatrix?.sha256);
    const { dir } = bench.cache;
    const store = await openProbeStore(dir === undefined ? directory.measured : join(dir, "probes"), key, bench);
    const { analysis, sensitivity: prior } = planOptions;
    const write = (probed: Probed) =>
      `${JSON.stringify({ ...probesDocument(analysis, probed), ...decodedBy(bench) }, null, 1)}\n`;
    // so far: what --sensitivity takes if the run is not waited for
    const onProbe = (probed: Probed) => writeFileAside(directory.probes, write(probed));
    const probed = await probeModel({ analysis, prior, site, store, budget, onProbe }, bench);
    const state = await writeKept(decided.state, directory, directory.probes, write(probed));
    const tried = await tryRefined(run, planOptions, site, probed);
    const elapsedMs = Math.round(performance.now() - started);
    const refinement = { ...describe(planOptions, site, probed, tried, elapsedMs), ...decodedBy(bench) };
    return { state, sensitivity: probed.sensitivity, refinement };
  } finally {
    await site.close();
  }
}

/** How much is decoded for probes, as the state has it or decided now; said together with the time it takes. */
async function decideProbes(
  { request: { refine, text }, source, directory, bench }: OpenRun,
  begun: Run,
  { analysis, sensitivity }: PlanOptions,
  context: number,
): Promise<{ state: Run; budget: ProbeBudget } | undefined> {
  const asked = refine === "none" ? {} : refine;
  const chunkMs = await timeChunks(source.model, context, bench);
  const input: ProbeBudgetInput = {
    tensors: probeableTensors(analysis),
    elements: analysis.model.elements,
    context,
    threads: bench.threads,
    onGpu: bench.gpuLayers > analysis.facts.layers,
    sampled: text === undefined,
    chunkMs,
  };
  const budget = begun.probeBudget ?? decideProbeBudget(asked, input);
  if (budget === undefined) {
    bench.progress.note(
      `not probing: one chunk of ${context} tokens takes ${aboutSeconds(chunkMs)}; sensitivity ${sensitivity.mode} (--probe-time 2h probes all the same, the head first)`,
    );
    return undefined;
  }
  const { probes, chunks } = budget;
  bench.progress.note(
    `probing on up to ${chunks} chunks${probes === undefined ? "" : `, ${probes} groups of tensors`}, ${aboutSeconds(probeTimeMs(budget, input))}`,
  );
  const state = { ...begun, probeBudget: budget };
  await saveRun(directory, state);
  return { state, budget };
}

function openSite(
  { request: { text, allowRequantize }, source: { model, imatrix }, directory, bench }: OpenRun,
  { analysis }: PlanOptions,
  { context, textChunks, trialChunks }: Omit<ProbeTextRequest, "text">,
): Promise<OpenSite> {
  const textOf: ProbeSiteRequest["textOf"] = (loaded) =>
    readProbeText(loaded, model, { context, text, textChunks, trialChunks }, bench);
  const { scratch } = directory;
  return openProbeSite(model, { analysis, imatrix, context, scratch, textOf, allowRequantize }, bench);
}

/** Try both plans, where the probes change a type and there is text for it. The refined model is left where the plan's belongs. */
async function tryRefined(
  { request: { allowRequantize }, source: { model, imatrix }, directory, bench }: OpenRun,
  planOptions: PlanOptions,
  site: ProbeSite,
  { sensitivity }: Probed,
): Promise<Tried | "same types" | "no trial"> {
  const unrefined = makePlan(planOptions);
  const refined = makePlan({ ...planOptions, sensitivity });
  if (sameTypes(unrefined, refined)) return "same types";
  if (site.text.trial.chunks === 0) return "no trial";
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
  planOptions: PlanOptions,
  { kind, text }: ProbeSite,
  probed: Probed,
  tried: Tried | "same types" | "no trial",
  elapsedMs: number,
): Refinement {
  const trial = typeof tried === "string" ? undefined : tried;
  const { measurements, decoded, sensitivity } = probed;
  const accepted =
    trial === undefined
      ? tried === "no trial" && measurements.length >= LEAST_UNTRIED
      : trial.difference.value < -TIE_STANDARD_ERRORS * trial.difference.se;
  const plan = makePlan(accepted ? { ...planOptions, sensitivity } : planOptions);
  return {
    prior: planOptions.sensitivity.mode,
    kind,
    text: text.source,
    context: text.probes.context,
    ...present({ verdictChunks: text.verdictChunks }),
    probes: measurements,
    decoded,
    densities: [...probed.densities],
    regret: probed.regretOf(plan),
    elapsedMs,
    ...present({ trial }),
    accepted,
    outcome: outcomeOf(tried, accepted),
  };
}

function outcomeOf(tried: Tried | "same types" | "no trial", accepted: boolean): string {
  if (tried === "same types") return "the probes change no type: the plan stays as it was";
  if (tried === "no trial") {
    return accepted
      ? "refined plan kept: there was no time to try it against the unrefined one"
      : `unrefined plan kept: there was no time to try the refined one, and fewer than ${LEAST_UNTRIED} probes may mislead`;
  }
  const { difference, unrefinedKld, chunks } = tried;
  const percent = ((100 * difference.value) / unrefinedKld).toFixed(1);
  const errors =
    difference.se > 0 ? `, ${(Math.abs(difference.value) / difference.se).toFixed(1)} standard errors` : "";
  const measured = `KLD ${percent} % on ${chunks} other chunks${errors}`;
  return accepted
    ? `refined plan kept: ${measured}`
    : `unrefined plan kept: the refined one is not surely better (${measured})`;
}
