/**
 * What the budget of a run becomes where it is not given: the smallest that meets a quality (`--kld`, `--ppl-ratio`),
 * or the knee of a sweep over several (`--budgets`, `--sweep`). One analysis and one sensitivity serve all points.
 */
import type { EngineImatrix } from "../engine/engine.ts";
import { makePlan, type PlanOptions } from "../plan/make-plan.ts";
import type { Plan } from "../plan/plan.ts";
import { planSpec } from "../quantize/plan-spec.ts";
import { calibrate, describeParting, type Measured } from "./calibration.ts";
import { type Candidate, nearestPreset, presetCandidate } from "./candidates.ts";
import { type FrontPoint, knee, survivors } from "./front.ts";
import { openPointBench, type PointBench } from "./measure-points.ts";
import type { RowKind, Run, RunRow, Sweep, SweepPoint } from "./run-document.ts";
import type { RunOptions } from "./run-options.ts";
import type { RunDirectory } from "./run-state.ts";
import { searchTarget } from "./search-target.ts";

export interface Settled {
  readonly state: Run;
  readonly budget: PlanOptions["budget"];
}

/** Measure what was asked, and settle the budget. Throws InfeasibleError where no plan meets the quality. */
export async function settleBudget(
  options: RunOptions,
  directory: RunDirectory,
  begun: Run,
  planOptions: PlanOptions,
  imatrix: EngineImatrix | undefined,
): Promise<Settled> {
  const { target, sweep = [] } = options;
  if (target === undefined && sweep.length === 0) return { state: begun, budget: planOptions.budget };
  const bench = openPointBench(options, directory, begun);
  const measure = (plan: Plan) => bench.measurePlan(pointCandidate(plan, directory, imatrix), plan);
  try {
    for (const budget of sweep) {
      const plan = makePlan({ ...planOptions, budget });
      await measure(plan);
      await measurePreset(bench, plan, directory, imatrix);
    }
    const found = target === undefined ? undefined : await searchTarget(target, planOptions, measure, options.onStage);
    const described = describeSweep(bench.state);
    const state: Run = {
      ...bench.state,
      sweep: described.sweep,
      warnings: [...new Set([...bench.state.warnings, ...described.warnings])],
      ...(found === undefined ? {} : { target: found.result }),
    };
    if (found !== undefined) return { state, budget: found.budget };
    const bend = state.sweep?.points.find(({ label }) => label === state.sweep?.knee);
    if (bend === undefined || options.budgetGiven === true) return { state, budget: planOptions.budget };
    return {
      state,
      budget: { kind: "fileBytes", value: bend.fileBytes, text: `the knee of the sweep, ${bend.budget}` },
    };
  } finally {
    await bench.close();
  }
}

function pointCandidate(plan: Plan, directory: RunDirectory, imatrix: EngineImatrix | undefined): Candidate {
  const slug = `point-${plan.predicted.fileBytes}`;
  return {
    label: `plan ${plan.predicted.bpw.toFixed(4)}`,
    kind: "plan",
    slug,
    spec: planSpec(plan, plan.source.path, directory.model(slug), imatrix),
  };
}

/** The preset nearest in size to the plan, so that each size has a file to beat. */
async function measurePreset(
  bench: PointBench,
  plan: Plan,
  directory: RunDirectory,
  imatrix: EngineImatrix | undefined,
): Promise<void> {
  const preset = nearestPreset(plan, imatrix !== undefined);
  if (preset !== undefined) await bench.measurePreset(presetCandidate(plan, preset, directory.model, imatrix), plan);
}

/** Rows that are files somebody would take, beside the points. */
const ON_FRONT: ReadonlySet<RowKind> = new Set<RowKind>(["plan", "preset", "published"]);

/** The front again, when the rows of the plan and its controls are there; the knee that was chosen stays. */
export function refreshSweep(run: Run): Run {
  if (run.sweep === undefined) return run;
  const { knee: chosen } = run.sweep;
  const { knee: _, ...sweep } = describeSweep(run).sweep;
  return { ...run, sweep: { ...sweep, ...(chosen === undefined ? {} : { knee: chosen }) } };
}

/** The front of all points and the files beside them, its knee, and the calibration of the points. */
export function describeSweep({ rows, sweep }: Pick<Run, "rows" | "sweep">): { sweep: Sweep; warnings: string[] } {
  const points = sweep?.points ?? [];
  const files = rows.filter(({ kind }) => ON_FRONT.has(kind));
  const front = survivors([...points, ...files].flatMap(frontPoint));
  const measured = points.flatMap(measuredOf);
  const calibration = calibrate(measured);
  const planned = new Set(points.map(({ label }) => label));
  const bend = knee(front.filter(({ label }) => planned.has(label)));
  return {
    sweep: {
      points,
      survivors: front.map(({ label }) => label),
      ...(bend === undefined ? {} : { knee: bend.label }),
      ...(calibration === undefined ? {} : { calibration }),
    },
    warnings: calibration === undefined ? [] : describeParting(measured, calibration),
  };
}

function frontPoint({ label, fileBytes, kld }: SweepPoint | RunRow): FrontPoint[] {
  return kld === undefined ? [] : [{ label, fileBytes, kld: kld.mean }];
}

function measuredOf({ label, predictedLoss, kld }: SweepPoint): Measured[] {
  return kld === undefined || predictedLoss === undefined ? [] : [{ label, predictedLoss, kld: kld.mean, se: kld.se }];
}
