/**
 * What tensors lose around a plan, by its moves: what a group did up or down beside what was predicted is a factor on what
 * each of its tensors is predicted to do in that direction. Pure.
 */
import type { TensorType } from "../ggml/tensor-types.ts";
import { lossOf, type MeasuredLosses } from "../plan/costing.ts";
import { makePlan, type PlanOptions } from "../plan/make-plan.ts";
import type { Plan, PlanTensor } from "../plan/plan.ts";
import { type MeasuredMove, moveGroup } from "./plan-moves.ts";

/**
 * Standard deviation of a move's real factor, the level of all left out: what is measured is shrunk by it. A group's up
 * and down agree no better than any two groups do (research/plan-swaps.ts).
 */
const SURPRISE = 0.5;
/** A factor is a ratio of losses, and some of the noise is below zero. */
const LEAST_FACTOR = 0.25;

/** A plan of the same budget whose tensors each stay or take a step, whichever the moves of `plan` are in favour of. */
export function movedPlan(options: PlanOptions, plan: Plan, moves: readonly MeasuredMove[]): Plan {
  const { sensitivity } = options;
  const moved = makePlan({ ...options, losses: moveLosses(plan, moves) });
  const { loss } = moved.predicted;
  // the sum of single tensors is still what is predicted, and no plan has less of it than the bound of this one
  const lowerBound = Math.min(plan.predicted.lowerBound, loss);
  return {
    ...moved,
    sensitivity: { mode: sensitivity.mode, version: `${sensitivity.version}, ${moves.length} moves` },
    predicted: { ...moved.predicted, lowerBound, gap: loss === 0 ? 0 : (loss - lowerBound) / loss },
  };
}

/** Loss of each tensor in its type and a step beside it, above the least of these. */
export function moveLosses(
  { tensors, facts }: Pick<Plan, "tensors" | "facts">,
  moves: readonly MeasuredMove[],
): ReadonlyMap<string, MeasuredLosses> {
  const level = levelOf(moves);
  const factors = new Map(moves.map((move) => [`${move.group} ${move.step}`, factorOf(move, level)]));
  return new Map(
    tensors.flatMap((tensor) => {
      const own = lossOf(tensor);
      if (own === undefined) return [];
      const group = moveGroup(tensor, facts.layers);
      return [[tensor.name, lossesOf(tensor, own, (step) => factors.get(`${group} ${step}`))]];
    }),
  );
}

/** Of all moves: the measured over the predicted. No plan depends on it. */
function levelOf(moves: readonly MeasuredMove[]): number {
  const measured = moves.reduce((sum, { effect, predicted }) => sum + effect.value * Math.sign(predicted), 0);
  return measured / moves.reduce((sum, { predicted }) => sum + Math.abs(predicted), 0);
}

/** 1 with the variance of a surprise, and what was measured with its own, weighed together. */
export function factorOf({ effect, predicted }: MeasuredMove, level: number): number {
  const expected = level * predicted;
  if (!(level > 0)) return 1;
  const variance = (effect.se / expected) ** 2;
  const weight = SURPRISE ** 2 / (SURPRISE ** 2 + variance);
  return Math.max(LEAST_FACTOR, 1 + weight * (effect.value / expected - 1));
}

/** A step that was not measured is not offered. */
function lossesOf(
  tensor: PlanTensor,
  own: number,
  factor: (step: "up" | "down") => number | undefined,
): MeasuredLosses {
  const changes: [TensorType, number][] = [[tensor.type, 0]];
  for (const step of ["up", "down"] as const) {
    const [to, times] = [tensor[step], factor(step)];
    if (to !== undefined && times !== undefined) changes.push([to.type, times * (to.loss - own)]);
  }
  const least = Math.min(...changes.map(([, change]) => change));
  return Object.fromEntries(changes.map(([type, change]) => [type, change - least]));
}
