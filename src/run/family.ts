/** The members of a family: a plan for each size, named after its bits per weight; those that come out the same are one. */
import type { Analysis } from "../analyze/analysis.ts";
import type { BudgetRequest } from "../plan/budget.ts";
import { makePlan, type PlanOptions } from "../plan/make-plan.ts";
import type { Plan } from "../plan/plan.ts";
import { present } from "../present.ts";
import type { Run, RunRow, SweepPoint } from "./run-document.ts";

export interface Member {
  readonly budget: BudgetRequest;
  readonly plan: Plan;
  /** Of the same budget, for codes chosen with error feedback. */
  readonly coded?: Plan;
  readonly slug: string;
  readonly label: string;
}

/** Decimal digits of the bits per weight in a name. */
const LEAST_DIGITS = 2;
const MOST_DIGITS = 6;

/** Plan them, smallest first. `feedback`: the analysis that knows what error feedback leaves, where codes are chosen by it. */
export function planMembers(
  planOptions: PlanOptions,
  budgets: readonly BudgetRequest[],
  feedback: Analysis | undefined,
): Member[] {
  const planned = budgets.map((budget) => ({ budget, plan: makePlan({ ...planOptions, budget }) }));
  const members = planned
    .filter(({ plan }, index) => planned.findIndex((other) => isSameFile(other.plan, plan)) === index)
    .sort((a, b) => a.plan.predicted.fileBytes - b.plan.predicted.fileBytes);
  const names = namesOf(members.map(({ plan }) => plan));
  return members.map(({ budget, plan }, index): Member => {
    const coded = feedback && makePlan({ ...planOptions, analysis: feedback, budget });
    const name = names[index] ?? "";
    return { budget, plan, slug: `plan-${name}`, label: `plan ${name}`, ...present({ coded }) };
  });
}

/** Whether two plans of one model make the same file. */
export function isSameFile(a: Plan, b: Plan): boolean {
  return a.tensors.every(({ type }, index) => type === b.tensors[index]?.type);
}

/** "4.25bpw", with as many digits as tell them apart. */
function namesOf(plans: readonly Plan[]): string[] {
  for (let digits = LEAST_DIGITS; digits <= MOST_DIGITS; digits++) {
    const names = plans.map(({ predicted }) => `${predicted.bpw.toFixed(digits)}bpw`);
    if (new Set(names).size === names.length) return names;
  }
  return plans.map(({ predicted }, index) => `${predicted.bpw.toFixed(MOST_DIGITS)}.${index + 1}bpw`);
}

/** The one nearest in bytes. */
export function nearestTo<Entry extends { readonly plan: Plan }>(
  members: readonly Entry[],
  fileBytes: number,
): Entry | undefined {
  const distance = ({ plan }: Entry) => Math.abs(Math.log(plan.predicted.fileBytes / fileBytes));
  return [...members].sort((a, b) => distance(a) - distance(b))[0];
}

/** What error feedback made of a member, as its rows are called. */
export function codedLabel(label: string): string {
  return `${label}, error feedback`;
}

/** A point as a row, without what is said of files of a family and of sweeps alone. */
export function rowOfPoint(
  point: Omit<SweepPoint, "budget"> & { readonly budget?: string },
  kind: "plan" | "feedback",
): RunRow {
  const {
    budget: _b,
    feedback: _f,
    plan: _p,
    path: _n,
    preset: _s,
    kldMinusPreset: _d,
    verdict: _v,
    verdictCode: _c,
    ...row
  } = point;
  return { ...row, kind };
}

/** The points of a run whose files are kept. */
export function membersOf({ sweep }: Pick<Run, "sweep">): (SweepPoint & { readonly path: string })[] {
  return (sweep?.points ?? []).flatMap((point) => (point.path === undefined ? [] : [{ ...point, path: point.path }]));
}
