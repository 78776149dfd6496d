/**
 * What the budget of a run becomes where it is not given: the smallest that meets a quality (`--kld`, `--ppl-ratio`),
 * or the knee of a sweep over several (`--budgets`, `--sweep`). One analysis and one sensitivity serve all points.
 */
import { makePlan, type PlanOptions } from "../plan/make-plan.ts";
import type { Plan } from "../plan/plan.ts";
import { present } from "../present.ts";
import { planSpec } from "../quantize/plan-spec.ts";
import { calibrate, describeParting, type MeasuredLoss } from "./calibration.ts";
import { type Candidate, nearestPreset, presetCandidate } from "./candidates.ts";
import { type FrontPoint, knee, survivors } from "./front.ts";
import { openPointMeasures, type PointMeasures } from "./measure-points.ts";
import type { OpenRun } from "./open-run.ts";
import type { Run, RunRow, Sweep, SweepPoint } from "./run-document.ts";
import { searchTarget } from "./search-target.ts";

export interface Settled {
  readonly state: Run;
  readonly budget: PlanOptions["budget"];
}

/** Measure what was asked, and settle the budget. Throws InfeasibleError where no plan meets the quality. */
export async function settleBudget(run: OpenRun, begun: Run, planOptions: PlanOptions): Promise<Settled> {
  const { target, sweep = [], budgetGiven } = run.request;
  if (target === undefined && sweep.length === 0) return { state: begun, budget: planOptions.budget };
  const points = openPointMeasures(run, begun);
  const measure = (plan: Plan) => points.measurePlan(pointCandidate(plan, run), plan);
  const beside = new Set<string>();
  try {
    for (const budget of sweep) {
      const plan = makePlan({ ...planOptions, budget });
      await measure(plan);
      const preset = await measurePreset(points, plan, run);
      if (preset !== undefined) beside.add(preset);
    }
    const found =
      target === undefined ? undefined : await searchTarget(target, planOptions, measure, run.bench.progress);
    // a run that was interrupted later holds rows of controls, which had no say when the budget was settled
    const rows = points.state.rows.filter(({ label }) => beside.has(label));
    const described = describeSweep({ ...points.state, rows });
    const state: Run = {
      ...points.state,
      sweep: described.sweep,
      warnings: [...new Set([...points.state.warnings, ...described.warnings])],
      ...present({ target: found?.result }),
    };
    if (found !== undefined) return { state, budget: found.budget };
    const bend = state.sweep?.points.find(({ label }) => label === state.sweep?.knee);
    if (bend === undefined || budgetGiven) return { state, budget: planOptions.budget };
    return {
      state,
      budget: { kind: "fileBytes", value: bend.fileBytes, text: `the knee of the sweep, ${bend.budget}` },
    };
  } finally {
    await points.close();
  }
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
  const files = rows.filter(({ kind }) => kind !== "reference");
  const front = survivors([...points, ...files].flatMap(frontPoint));
  const measured = points.flatMap(measuredOf);
  const calibration = calibrate(measured);
  const planned = new Set(points.map(({ label }) => label));
  const bend = knee(front.filter(({ label }) => planned.has(label)));
  return {
    sweep: {
      points,
      survivors: front.map(({ label }) => label),
      ...present({ knee: bend?.label, calibration }),
    },
    warnings: calibration === undefined ? [] : describeParting(measured, calibration),
  };
}

function frontPoint({ label, fileBytes, kld }: SweepPoint | RunRow): (FrontPoint & { readonly label: string })[] {
  return kld === undefined ? [] : [{ label, fileBytes, value: kld.mean }];
}

function measuredOf({ label, predictedLoss, kld }: SweepPoint): MeasuredLoss[] {
  return kld === undefined || predictedLoss === undefined ? [] : [{ label, predictedLoss, kld: kld.mean, se: kld.se }];
}
