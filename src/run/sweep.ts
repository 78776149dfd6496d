/**
 * What the budget of a run becomes where it is not given: the smallest that meets a quality (`--kld`, `--ppl-ratio`),
 * or the knee of a family or a sweep (`--budgets`, `--sizes`, `--sweep`). One analysis and one sensitivity serve all points.
 */
import type { Analysis } from "../analyze/analysis.ts";
import { resolveBudget } from "../plan/budget.ts";
import { makePlan, type PlanOptions } from "../plan/make-plan.ts";
import type { Plan } from "../plan/plan.ts";
import { planHeaderBytes } from "../plan/predict.ts";
import { tensorChoices } from "../plan/replan.ts";
import { present } from "../present.ts";
import { planSpec } from "../quantize/plan-spec.ts";
import { calibrate, describeParting, type MeasuredLoss } from "./calibration.ts";
import { type Candidate, nearestPreset, presetCandidate } from "./candidates.ts";
import { paceWithin } from "./deadline.ts";
import { RUN_STAGES } from "./estimate.ts";
import { type Member, nearestTo, planMembers } from "./family.ts";
import { type FrontPoint, knee, survivors } from "./front.ts";
import { measureMember } from "./measure-family.ts";
import { openPointMeasures, type PointMeasures } from "./measure-points.ts";
import type { OpenRun } from "./open-run.ts";
import type { Family, Run, RunRow, Stopped, Sweep, SweepPoint } from "./run-document.ts";
import { searchTarget } from "./search-target.ts";

export interface Settled {
  readonly state: Run;
  readonly budget: PlanOptions["budget"];
  /** Of a family. */
  readonly members: readonly Member[];
}

/**
 * The budget that a run begins with: where only a list of sizes was asked for, that of them whose plan is nearest to the
 * default's, so that nothing else is planned.
 */
export function firstBudget(run: OpenRun, planOptions: PlanOptions): PlanOptions["budget"] {
  const { target, sweep = [], budgetGiven } = run.request;
  if (target !== undefined || sweep.length === 0 || budgetGiven) return planOptions.budget;
  const plans = sweep.map((budget) => ({ budget, plan: makePlan({ ...planOptions, budget }) }));
  return nearestToDefault(plans, planOptions)?.budget ?? planOptions.budget;
}

function nearestToDefault<Entry extends { readonly plan: Plan }>(
  plans: readonly Entry[],
  planOptions: PlanOptions,
): Entry | undefined {
  const [{ plan } = { plan: undefined }] = plans;
  return plan && nearestTo(plans, defaultBytes(plan, planOptions));
}

/** Bytes that the default budget allows, whether or not its constraints fit it. */
function defaultBytes(plan: Plan, { budget }: PlanOptions): number {
  const { facts, imatrix } = plan;
  const context = { facts, headerBytes: planHeaderBytes(plan), imatrix: imatrix !== undefined };
  return resolveBudget(budget, { ...context, tensors: tensorChoices(plan) }).fileBytes;
}

/**
 * Measure what was asked, and settle the budget; `analysis` knows what error feedback leaves. Throws InfeasibleError where
 * no plan meets the quality.
 */
export async function settleBudget(
  run: OpenRun,
  begun: Run,
  planOptions: PlanOptions,
  analysis: Analysis,
): Promise<Settled> {
  const { target, sweep = [], family, budgetGiven } = run.request;
  if (target === undefined && sweep.length === 0) return { state: begun, budget: planOptions.budget, members: [] };
  const points = openPointMeasures(run, begun);
  const measure = (plan: Plan) => points.measurePlan(pointCandidate(plan, run), plan);
  const planned = family ? planMembers(planOptions, sweep, run.source.feedback ? analysis : undefined) : [];
  const members: Member[] = [];
  const beside = new Set<string>();
  const pace = paceWithin(run.request.deadline);
  let cutShort = false;
  // each with the preset beside it
  const measureSize = (plan: Plan, measureIt: () => Promise<unknown>) =>
    pace.timed(async () => {
      await measureIt();
      const preset = await measurePreset(points, plan, run);
      if (preset !== undefined) beside.add(preset);
    });
  try {
    for (const member of planned) {
      cutShort ||= pace.isShort(1);
      if (cutShort) break;
      const nearest = nearestPreset(member.plan, run.source.imatrix !== undefined);
      await measureSize(member.plan, () => measureMember(run, points, member, nearest));
      members.push(member);
    }
    for (const budget of family ? [] : sweep) {
      cutShort ||= pace.isShort(1 + PLAN_FILE);
      if (cutShort) break;
      const plan = makePlan({ ...planOptions, budget });
      await measureSize(plan, () => measure(plan));
    }
    const isShort = () => {
      cutShort ||= pace.isShort(1 + PLAN_FILE);
      return cutShort;
    };
    const found =
      target === undefined
        ? undefined
        : await searchTarget(target, planOptions, {
            measure: (plan) => pace.timed(() => measure(plan)),
            isShort,
            progress: run.bench.progress,
          });
    if (cutShort) run.bench.progress.note("what is left of --max-time is kept for the plan's own file");
    // a run that was interrupted later holds rows of controls, which had no say when the budget was settled
    const rows = points.state.rows.filter(({ label }) => beside.has(label));
    const described = describeSweep({ ...points.state, rows });
    const bend = described.sweep.points.find(({ label }) => label === described.sweep.knee);
    const chosen = found !== undefined ? "target" : budgetGiven ? "budget" : bend === undefined ? "nearest" : "knee";
    const state: Run = {
      ...points.state,
      sweep: described.sweep,
      warnings: [...new Set([...points.state.warnings, ...described.warnings])],
      ...present({
        target: found?.result,
        family: family ? ({ chosen } satisfies Family) : undefined,
        stopped: cutShort ? cutShortBy(run) : undefined,
      }),
    };
    if (found !== undefined) return { state, budget: found.budget, members };
    if (bend === undefined || budgetGiven) {
      const near = cutShort && !budgetGiven ? nearestToDefault(members, planOptions) : undefined;
      return { state, budget: near?.budget ?? planOptions.budget, members };
    }
    const member = members.find(({ label }) => label === bend.label);
    const budget = member?.budget ?? { kind: "fileBytes", value: bend.fileBytes };
    const text = `the knee of the ${family ? "family" : "sweep"}, ${bend.budget}`;
    return { state, budget: { ...budget, text }, members };
  } finally {
    await points.close();
  }
}

/** Of the longest file of a search, what the plan's own file and what is around it may take. */
const PLAN_FILE = 1.5;

function cutShortBy({ request: { deadline } }: OpenRun): Stopped {
  return { stage: RUN_STAGES.sizes, maxTime: deadline?.text ?? "", cutShort: true, missing: [] };
}

function pointCandidate(plan: Plan, { directory, source }: OpenRun): Candidate {
  const slug = `point-${plan.predicted.fileBytes}`;
  return {
    label: `plan ${plan.predicted.bpw.toFixed(4)}`,
    kind: "plan",
    slug,
    spec: planSpec(plan, directory.model(slug), source.imatrix),
  };
}

/** The preset nearest in size to the plan, so that each size has a file to beat; its label, where there is one. */
async function measurePreset(
  points: PointMeasures,
  plan: Plan,
  { directory, source }: OpenRun,
): Promise<string | undefined> {
  const { imatrix } = source;
  const preset = nearestPreset(plan, imatrix !== undefined);
  if (preset === undefined) return undefined;
  const candidate = presetCandidate(plan, preset, directory.model, imatrix);
  await points.measurePreset(candidate, plan);
  return candidate.label;
}

/** The front again, when the rows of the plan and its controls are there; the knee that was chosen stays. */
export function refreshSweep(run: Run): Run {
  if (run.sweep === undefined) return run;
  const { knee: chosen } = run.sweep;
  const { knee: _, ...sweep } = describeSweep(run).sweep;
  return { ...run, sweep: { ...sweep, ...present({ knee: chosen }) } };
}

/** The front of all points and the files beside them but the reference, its knee, and the calibration of the points. */
export function describeSweep({ rows, sweep }: Pick<Run, "rows" | "sweep">): { sweep: Sweep; warnings: string[] } {
  const points = sweep?.points ?? [];
  const coded = points.flatMap(({ feedback }) => feedback ?? []);
  const files = rows.filter(({ kind }) => kind !== "reference");
  const front = survivors([...points, ...coded, ...files].flatMap(frontPoint));
  const measured = points.flatMap(measuredOf);
  const calibration = calibrate(measured);
  const planned = new Set([...points, ...coded].map(({ label }) => label));
  const bend = knee(front.filter(({ label }) => planned.has(label)));
  // error feedback may have beaten the plan's own codes: the size is what is chosen
  const bent = bend && points.find((point) => [point.label, point.feedback?.label].includes(bend.label));
  return {
    sweep: {
      points,
      survivors: front.map(({ label }) => label),
      ...present({ knee: bent?.label, calibration }),
    },
    warnings: calibration === undefined ? [] : describeParting(measured, calibration),
  };
}

function frontPoint({
  label,
  fileBytes,
  kld,
}: Pick<RunRow, "label" | "fileBytes" | "kld">): (FrontPoint & { readonly label: string })[] {
  return kld === undefined ? [] : [{ label, fileBytes, value: kld.mean }];
}

function measuredOf({ label, predictedLoss, kld }: SweepPoint): MeasuredLoss[] {
  return kld === undefined || predictedLoss === undefined ? [] : [{ label, predictedLoss, kld: kld.mean, se: kld.se }];
}
