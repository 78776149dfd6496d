/** The search for the smallest file of a quality: plans are made and measured until quality-target.ts is content. */
import type { Progress } from "../bench.ts";
import { InfeasibleError } from "../errors.ts";
import { makePlan, type PlanOptions } from "../plan/make-plan.ts";
import type { Plan } from "../plan/plan.ts";
import { lossOfTypes } from "../plan/predict.ts";
import { limitOf, nextLoss, type QualityTarget, smallestMet, type TargetPoint, targetPoint } from "./quality-target.ts";
import type { SweepPoint, TargetResult } from "./run-document.ts";

/** Solves per step: each halves the bytes in question or better, and a step needs no more than the tolerance. */
const MAX_SOLVES = 12;
/** A plan whose predicted loss is this near to the one wanted is taken. */
const LOSS_TOLERANCE = 0.005;

export interface Found {
  readonly budget: PlanOptions["budget"];
  /** Absent where the search ended before anything met the target: the budget is that of what is nearest to it. */
  readonly result?: TargetResult;
}

export interface Search {
  readonly measure: (plan: Plan) => Promise<SweepPoint>;
  /** Whether there is no time for another plan. */
  readonly isShort: () => boolean;
  readonly progress: Progress;
}

/** Search, from the budget of `options`. Throws InfeasibleError where the largest file still misses the target. */
export async function searchTarget(
  target: QualityTarget,
  options: PlanOptions,
  { measure, isShort, progress }: Search,
): Promise<Found> {
  const range = bytesRange(options);
  const tried = new Map<number, TargetPoint>();
  let plan: Plan | undefined = firstPlan(options, range.least);
  let isCut = false;
  while (plan !== undefined && !tried.has(plan.predicted.fileBytes)) {
    isCut = isShort();
    if (isCut) break;
    const point = targetPoint(target, await measure(plan));
    if (point === undefined) throw new InfeasibleError(`no ${target.measure} was measured; nothing can be searched`);
    tried.set(plan.predicted.fileBytes, point);
    progress.note(`${describe(target, point)} at ${point.fileBytes.toLocaleString("en-US")} bytes`);
    const loss = nextLoss(target, [...tried.values()]);
    plan = loss === undefined ? undefined : planOfLoss(loss, options, range);
  }
  const points = [...tried.values()];
  const best = smallestMet(target, points);
  const text = textOf(target);
  if (best === undefined) {
    const near = nearestPoint(points);
    if (!isCut || near === undefined) throw missed(target, points);
    return { budget: { kind: "fileBytes", value: near.fileBytes, text: `nearest to ${text} so far` } };
  }
  const result: TargetResult = {
    ...target,
    fileBytes: best.fileBytes,
    value: target.measure === "kld" ? best.value : Math.exp(best.value),
    se: target.measure === "kld" ? best.se : Math.exp(best.value) * best.se,
    evaluations: points.length,
  };
  return { budget: { kind: "fileBytes", value: best.fileBytes, text }, result };
}

/** The target as it is typed. */
export function textOf({ measure, limit }: QualityTarget): string {
  return measure === "kld" ? `--kld ${limit}` : `--ppl-ratio ${limit}`;
}

function bytesRange(options: PlanOptions): { least: number; most: number } {
  const most = options.analysis.model.fileBytes;
  try {
    makePlan({ ...options, budget: { kind: "fileBytes", value: 1 } });
  } catch (error) {
    if (error instanceof InfeasibleError && error.possible) {
      return { least: error.possible.minBytes, most: Math.max(error.possible.maxBytes, error.possible.minBytes) };
    }
    throw error;
  }
  return { least: 1, most };
}

/** At the budget of the options, which nobody asked for: where constraints don't fit it, the smallest that holds them. */
function firstPlan(options: PlanOptions, leastBytes: number): Plan {
  try {
    return makePlan(options);
  } catch (error) {
    if (!(error instanceof InfeasibleError)) throw error;
    return makePlan({ ...options, budget: { kind: "fileBytes", value: leastBytes } });
  }
}

/** The plan whose predicted loss is nearest to the one wanted, by bisection over the bytes. */
function planOfLoss(loss: number, options: PlanOptions, { least, most }: { least: number; most: number }): Plan {
  const solve = (value: number) => makePlan({ ...options, budget: { kind: "fileBytes", value: Math.round(value) } });
  let low = least;
  let high = most;
  let best = solve(high);
  for (let solves = 1; solves < MAX_SOLVES; solves++) {
    const middle = solve(Math.sqrt(low * high));
    const distance = (plan: Plan) => Math.abs(Math.log(roundedLoss(plan) / loss));
    if (!(distance(best) <= distance(middle))) best = middle;
    if (distance(best) < LOSS_TOLERANCE) break;
    if (roundedLoss(middle) > loss) low = middle.predicted.fileBytes;
    else high = middle.predicted.fileBytes;
  }
  return best;
}

/** What is measured are files of llama-quantize. */
function roundedLoss(plan: Plan): number {
  return (
    lossOfTypes(plan, new Map(plan.tensors.map(({ name, type }) => [name, type])), "rounded") ?? plan.predicted.loss
  );
}

function describe(target: QualityTarget, { value, se }: TargetPoint): string {
  const name = target.measure === "kld" ? "KLD" : "ln(PPL ratio)";
  return `${name} ${value.toPrecision(4)} ± ${se.toPrecision(2)} (target ${limitOf(target).toPrecision(4)})`;
}

/** The one with the least that is sure. */
function nearestPoint(points: readonly TargetPoint[]): TargetPoint | undefined {
  return [...points].sort((a, b) => a.value + a.se - (b.value + b.se))[0];
}

function missed(target: QualityTarget, points: readonly TargetPoint[]): InfeasibleError {
  const best = nearestPoint(points);
  const got =
    best === undefined ? "nothing" : `${describe(target, best)} at ${best.fileBytes.toLocaleString("en-US")} bytes`;
  return new InfeasibleError(
    `${textOf(target)}: none of ${points.length} plans meets it with one standard error to spare; the best has ${got}: ` +
      "ask for less, allow larger types, or give a longer --text, which narrows the error",
  );
}
