/**
 * Refinement: probes of the model → densities → a new plan, kept only where it beats the unrefined one by more than two
 * standard errors on chunks that neither the probes nor the verdict see.
 */
import { join } from "node:path";
import { writeFileAside } from "../disk/aside-file.ts";
import { decodedBy } from "../evaluate/gpu-layers.ts";
import { aboutSeconds } from "../evaluate/text.ts";
import { makePlan, type PlanOptions } from "../plan/make-plan.ts";
import { present } from "../present.ts";
import { probeModel } from "../probes/probe-model.ts";
import type { ProbeSite } from "../probes/probe-site.ts";
import { openProbeStore, probeKey } from "../probes/probe-store.ts";
import type { Probed } from "../probes/probed.ts";
import { probesDocument } from "../probes/probes-document.ts";
import type { Sensitivity } from "../sensitivity/sensitivity.ts";
import { leftMs } from "./deadline.ts";
import { planFileMs, RUN_STAGES } from "./estimate.ts";
import { writeKept } from "./kept-files.ts";
import type { OpenRun } from "./open-run.ts";
import { decideProbeBudget, probeTimeMs } from "./probe-budget.ts";
import type { ProbeBudget, Refinement, Run, Trial } from "./run-document.ts";
import { openRunSite, probeBudgetInput } from "./run-site.ts";
import { saveRun } from "./run-state.ts";
import { isKept, lackInWords, trialInWords, trialOutcome, tryInRun } from "./trial.ts";
import type { PlanOutcome } from "./verdict-codes.ts";

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
  bench.progress.begin?.(RUN_STAGES.probes);
  const decided = await decideProbes(run, begun, planOptions);
  if (decided === undefined) return undefined;
  const { budget } = decided;
  const started = performance.now();
  const site = await openRunSite(run, planOptions.analysis, budget);
  try {
    const key = probeKey(bench, site, source.asked.fingerprint, source.imatrix?.sha256);
    const { dir } = bench.cache;
    const store = await openProbeStore(dir === undefined ? directory.measured : join(dir, "probes"), key, bench);
    const { analysis, sensitivity: prior } = planOptions;
    const write = (probed: Probed) =>
      `${JSON.stringify({ ...probesDocument(analysis, probed), ...decodedBy(bench) }, null, 1)}\n`;
    // so far: what --sensitivity takes if the run is not waited for
    const onProbe = (probed: Probed) => writeFileAside(directory.probes, write(probed));
    const trialMs = probeTimeMs({ ...budget, chunks: 0, textChunks: 0 }, { ...decided, sampled: false });
    const isLate = () => leftMs(request.deadline) < trialMs + planFileMs(run.expected);
    const probed = await probeModel({ analysis, prior, site, store, budget, onProbe, isLate }, bench);
    const state = await writeKept(decided.state, directory, directory.probes, write(probed));
    const plans = {
      unrefined: makePlan(planOptions),
      refined: makePlan({ ...planOptions, sensitivity: probed.sensitivity }),
    };
    const tried = await tryInRun(run, site, "the refined plan against the unrefined", plans);
    const guarded = request.probeGuard !== undefined;
    const accepted = isAccepted(tried, probed, guarded);
    const refinement: Refinement = {
      ...describe(planOptions, site, probed),
      ...decodedBy(bench),
      regret: probed.regretOf(accepted ? plans.refined : plans.unrefined),
      elapsedMs: Math.round(performance.now() - started),
      ...(typeof tried === "string" ? {} : { trial: tried }),
      accepted,
      outcome: outcomeOf(tried, accepted, guarded),
      outcomeCode: codeOf(tried, accepted),
    };
    return { state, sensitivity: probed.sensitivity, refinement };
  } finally {
    await site.close();
  }
}

/** How much is decoded for probes, as the state has it or decided now; said together with the time it takes. */
async function decideProbes(
  run: OpenRun,
  begun: Run,
  { analysis, sensitivity }: PlanOptions,
): Promise<{ state: Run; budget: ProbeBudget; chunkMs: number } | undefined> {
  const { request, directory, bench } = run;
  const asked = request.refine === "none" ? {} : request.refine;
  const input = await probeBudgetInput(run, analysis);
  const left = leftMs(request.deadline) - planFileMs(run.expected);
  const wished = begun.probeBudget ?? decideProbeBudget(asked, input);
  const isShort = wished !== undefined && probeTimeMs(wished, input) > left;
  const budget = isShort ? decideProbeBudget({ ...asked, timeMs: Math.max(0, left) }, input) : wished;
  if (budget === undefined) {
    const why = isShort
      ? `--max-time ${request.deadline?.text} leaves no time for it; sensitivity ${sensitivity.mode}`
      : `one chunk of ${input.context} tokens takes ${aboutSeconds(input.chunkMs)}; sensitivity ${sensitivity.mode} (--probe-time 2h probes all the same, the head first)`;
    bench.progress.note(`not probing: ${why}`);
    return undefined;
  }
  const { probes, chunks } = budget;
  bench.progress.note(
    `probing on up to ${chunks} chunks${probes === undefined ? "" : `, ${probes} groups of tensors`}, ${aboutSeconds(probeTimeMs(budget, input))}`,
  );
  const state = { ...begun, probeBudget: budget };
  await saveRun(directory, state);
  return { state, budget, chunkMs: input.chunkMs };
}

function isAccepted(tried: Trial | "same types" | "no trial", { measurements }: Probed, guarded: boolean): boolean {
  if (tried === "same types") return false;
  if (tried === "no trial") return !guarded && measurements.length >= LEAST_UNTRIED;
  return isKept(tried);
}

function describe(
  { sensitivity }: PlanOptions,
  { kind, unit, text }: ProbeSite,
  { measurements, decoded, densities }: Probed,
) {
  return {
    prior: sensitivity.mode,
    kind,
    text: text.source,
    context: text.probes.context,
    ...present({ verdictChunks: text.verdictChunks, unit: unit === "drift" ? unit : undefined }),
    probes: measurements,
    decoded,
    densities: [...densities],
  };
}

function codeOf(tried: Trial | "same types" | "no trial", accepted: boolean): PlanOutcome {
  if (tried === "same types") return "no-change";
  if (tried === "no trial") return accepted ? "kept-untried" : "untried";
  return trialOutcome(tried);
}

function outcomeOf(tried: Trial | "same types" | "no trial", accepted: boolean, guarded: boolean): string {
  if (tried === "same types") return "the probes change no type: the plan stays as it was";
  if (tried === "no trial") {
    if (accepted) return "refined plan kept: there was no time to try it against the unrefined one";
    const why = guarded ? "--probe-guard keeps none untried" : `fewer than ${LEAST_UNTRIED} probes may mislead`;
    return `unrefined plan kept: there was no time to try the refined one, and ${why}`;
  }
  return accepted
    ? `refined plan kept: ${trialInWords(tried)}`
    : `unrefined plan kept: the refined one ${lackInWords(tried)} (${trialInWords(tried)})`;
}
