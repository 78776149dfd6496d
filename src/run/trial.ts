/** A trial of the plan that is to take another's place: both really quantized, on chunks kept for it; and what it decides. */
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { makeFolder } from "../disk/aside-file.ts";
import type { Plan } from "../plan/plan.ts";
import { present } from "../present.ts";
import type { ProbeSite } from "../probes/probe-site.ts";
import { tryPlans } from "../probes/try-plans.ts";
import type { OpenRun } from "./open-run.ts";
import type { Trial } from "./run-document.ts";
import { TIE_STANDARD_ERRORS } from "./verdict.ts";
import type { PlanOutcome } from "./verdict-codes.ts";

/** A plan is not held to a tail that is no worse than chance makes it: so many standard errors. */
const TAIL_STANDARD_ERRORS = 1;

export interface TriedPlans {
  readonly unrefined: Plan;
  readonly refined: Plan;
}

/** Try both plans, where they differ and there is text for it. The refined model is left where the plan's belongs. */
export async function tryInRun(
  { request: { allowRequantize, probeGuard }, source: { model, imatrix }, directory, bench }: OpenRun,
  site: ProbeSite,
  what: string,
  { unrefined, refined }: TriedPlans,
): Promise<Trial | "same types" | "no trial"> {
  if (sameTypes(unrefined, refined)) return "same types";
  if (site.text.trial.chunks === 0) return "no trial";
  bench.progress.note(`trying ${what}`);
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
      guard: probeGuard,
    },
    bench,
  );
  await rm(output, { force: true });
  const unit = site.unit === "drift" ? site.unit : undefined;
  return { ...tried, ...present({ guard: probeGuard, unit }) };
}

function sameTypes(a: Plan, b: Plan): boolean {
  return a.tensors.every(({ type }, index) => b.tensors[index]?.type === type);
}

/** Whether the refined plan is surely better, and no worse by what it is held to. */
export function isKept(trial: Trial): boolean {
  const { value, se } = trial.difference;
  return value < -TIE_STANDARD_ERRORS * se && !isTailWorse(trial);
}

function isTailWorse({ guard, p99 }: Trial): boolean {
  if (guard === undefined || p99 === undefined) return false;
  return p99.difference.value > TAIL_STANDARD_ERRORS * p99.difference.se;
}

/** Why the refined plan was kept, or what it lacks. */
export function trialInWords(trial: Trial): string {
  const { difference, unrefinedKld, chunks, p99, unit } = trial;
  const percent = ((100 * difference.value) / unrefinedKld).toFixed(1);
  const errors =
    difference.se > 0 ? `, ${(Math.abs(difference.value) / difference.se).toFixed(1)} standard errors` : "";
  const measured = `${unit ?? "KLD"} ${percent} % on ${chunks} other chunks${errors}`;
  if (p99 === undefined || trial.guard === undefined) return measured;
  return `${measured}; its 99th percentile ${inDigits(p99.refined)} against ${inDigits(p99.unrefined)}, a difference of ${inDigits(p99.difference.value)} ± ${inDigits(p99.difference.se)}`;
}

/** What the trial decided, for programs. */
export function trialOutcome(trial: Trial): PlanOutcome {
  if (isKept(trial)) return "kept";
  return isTailWorse(trial) ? "worse-tail" : "not-better";
}

/** What keeps a plan from being kept. */
export function lackInWords(trial: Trial): string {
  return isTailWorse(trial) ? "has a worse 99th percentile" : "is not surely better";
}

function inDigits(value: number): string {
  return value.toPrecision(2);
}
