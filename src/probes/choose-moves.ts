/**
 * Which moves of a plan are worth making together, by what was measured of each: they add up, as far as each changes little
 * of all the damage that it was measured beside (docs/probes.md). Pure.
 */
import { makePlan, type PlanOptions } from "../plan/make-plan.ts";
import type { Plan } from "../plan/plan.ts";
import { type MeasuredMove, type PlanMove, planMoves } from "./plan-moves.ts";

/** Sets of moves kept on the way; of more, those spread over their bytes. */
const MOST_SETS = 4096;

/** A plan of the same budget with the moves of `plan` that are expected to gain most. */
export function movedPlan(options: PlanOptions, plan: Plan, measured: readonly MeasuredMove[]): Plan {
  const moves = planMoves(plan);
  const effects = expectedEffects(measured);
  const weighed = moves.slice(0, effects.length).map((move, at) => ({ ...move, effect: effects[at] as number }));
  const taken = chooseMoves(weighed, freeBytes(plan));
  const types = new Map(plan.tensors.map(({ name, type }) => [name, type]));
  for (const { tensor, type } of taken) types.set(tensor, type);
  const moved = makePlan({ ...options, chosen: types });
  const { loss } = moved.predicted;
  // the sum of single tensors is still what is predicted, and no plan has less of it than the bound of this one
  const lowerBound = Math.min(plan.predicted.lowerBound, loss);
  return {
    ...moved,
    sensitivity: { mode: moved.sensitivity.mode, version: `${moved.sensitivity.version}, ${measured.length} moves` },
    predicted: { ...moved.predicted, lowerBound, gap: loss === 0 ? 0 : (loss - lowerBound) / loss },
  };
}

function freeBytes({ budget, predicted }: Pick<Plan, "budget" | "predicted">): number {
  return budget.tensorBytes === undefined
    ? budget.fileBytes - predicted.fileBytes
    : budget.tensorBytes - predicted.tensorBytes;
}

/**
 * Each effect between what was measured and what was predicted, at the level of all moves. How far real effects are off the
 * predicted ones is seen on the moves themselves: the variance goes with what is predicted, since an error of that power
 * lies to the rest as chance has it.
 */
export function expectedEffects(moves: readonly MeasuredMove[]): number[] {
  const level = levelOf(moves);
  if (!(level > 0)) return moves.map((move) => move.predicted);
  const surprises = sumOf(moves, ({ effect, predicted }) => (effect.value - level * predicted) ** 2 - effect.se ** 2);
  const variancePerLoss = Math.max(0, surprises) / (level * sumOf(moves, ({ predicted }) => Math.abs(predicted)));
  return moves.map(({ effect, predicted: own }) => {
    const variance = variancePerLoss * level * Math.abs(own);
    const weight = variance === 0 ? 0 : variance / (variance + effect.se ** 2);
    return level * own + weight * (effect.value - level * own);
  });
}

/** Of all moves: the measured over the predicted. */
export function levelOf(moves: readonly MeasuredMove[]): number {
  const measured = sumOf(moves, ({ effect, predicted }) => effect.value * Math.sign(predicted));
  return measured / sumOf(moves, ({ predicted }) => Math.abs(predicted));
}

function sumOf(moves: readonly MeasuredMove[], value: (move: MeasuredMove) => number): number {
  return moves.reduce((sum, move) => sum + value(move), 0);
}

export type WeighedMove = PlanMove & { readonly effect: number };

interface MoveSet {
  readonly bytes: number;
  readonly effect: number;
  readonly moves: readonly WeighedMove[];
}

/** At most one of each tensor, so that their effects have the lowest sum within the bytes. */
export function chooseMoves(moves: readonly WeighedMove[], bytes: number): readonly WeighedMove[] {
  const tensors = new Set(moves.map(({ tensor }) => tensor));
  let sets: readonly MoveSet[] = [{ bytes: 0, effect: 0, moves: [] }];
  for (const tensor of tensors) {
    const own = moves.filter((move) => move.tensor === tensor);
    const grown = sets.flatMap((set) => [
      set,
      ...own.map((move) => ({
        bytes: set.bytes + move.bytes,
        effect: set.effect + move.effect,
        moves: [...set.moves, move],
      })),
    ]);
    sets = thinned(efficient(grown));
  }
  return sets.findLast((set) => set.bytes <= bytes)?.moves ?? [];
}

/** By bytes, without those that are no better than a smaller one. */
function efficient(sets: readonly MoveSet[]): MoveSet[] {
  const kept: MoveSet[] = [];
  for (const set of [...sets].sort((a, b) => a.bytes - b.bytes || a.effect - b.effect)) {
    const last = kept.at(-1);
    if (last === undefined || set.effect < last.effect) kept.push(set);
  }
  return kept;
}

function thinned(sets: readonly MoveSet[]): readonly MoveSet[] {
  if (sets.length <= MOST_SETS) return sets;
  const step = sets.length / MOST_SETS;
  return Array.from({ length: MOST_SETS }, (_, at) => sets[Math.floor(at * step)] as MoveSet);
}
