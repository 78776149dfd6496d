/**
 * Moves of a plan: a part of a class, by depth, a step up or down its types while everything else is in those of the plan.
 * Measured there, they tell what the sum of single tensors can't: what damage costs beside all the other damage.
 */
import type { Bench } from "../bench.ts";
import type { MeanSe } from "../evaluate/evaluation.ts";
import { pairedDifference } from "../evaluate/statistics.ts";
import { lossOf } from "../plan/costing.ts";
import type { Plan, PlanTensor } from "../plan/plan.ts";
import { measureChunks } from "./measure-probe.ts";
import type { OpenSite, ProbeTypes } from "./probe-site.ts";

/** Parts of a class along the depth: smaller ones drown in noise. */
const DEPTH_PARTS = 2;

export interface PlanMove {
  readonly group: string;
  readonly step: "up" | "down";
  /** Of the tensors that it moves. */
  readonly types: ProbeTypes;
  /** Loss that it adds by the plan's sensitivity. */
  readonly predicted: number;
}

export interface MeasuredMove extends Pick<PlanMove, "group" | "step" | "predicted"> {
  /** Nats of the whole plan's KLD that it adds, paired over chunks. */
  readonly effect: MeanSe;
}

/** The group that a tensor moves with. */
export function moveGroup({ name, class: own, layer }: Pick<PlanTensor, "name" | "class" | "layer">, layers: number) {
  return layer === undefined ? name : `${own} ${Math.floor((layer * DEPTH_PARTS) / layers) + 1} of ${DEPTH_PARTS}`;
}

/** The types of a plan, where they are not the source's. */
export function planTypes({ tensors }: Pick<Plan, "tensors">): ProbeTypes {
  return new Map(tensors.flatMap(({ name, type, sourceType }) => (type === sourceType ? [] : [[name, type]])));
}

/** Every group up and down, as far as there are types. */
export function planMoves({ tensors, facts }: Pick<Plan, "tensors" | "facts">): PlanMove[] {
  const groups = new Map<string, PlanTensor[]>();
  for (const tensor of tensors) {
    const group = moveGroup(tensor, facts.layers);
    groups.set(group, [...(groups.get(group) ?? []), tensor]);
  }
  return [...groups].flatMap(([group, members]) =>
    (["up", "down"] as const).flatMap((step): PlanMove[] => {
      const moved = members.flatMap((tensor) => {
        const to = tensor.reason === "pin" ? undefined : tensor[step];
        return to === undefined ? [] : [{ tensor, to }];
      });
      const predicted = moved.reduce((sum, { tensor, to }) => sum + to.loss - (lossOf(tensor) ?? 0), 0);
      const types = new Map(moved.map(({ tensor, to }) => [tensor.name, to.type]));
      // where more bits lose more, or nobody minds, nothing is predicted that a measurement could be held to
      return (step === "up" ? predicted < 0 : predicted > 0) ? [{ group, step, types, predicted }] : [];
    }),
  );
}

export interface MovesRequest {
  readonly plan: Pick<Plan, "tensors" | "facts">;
  /** Chunks of the text of probes that each is measured on. */
  readonly chunks: number;
  /** Measured before, in the order of `planMoves`. */
  readonly known: readonly MeasuredMove[];
  /** Told all that are measured after each. */
  readonly onMove: (measured: readonly MeasuredMove[]) => Promise<void>;
}

/** Measure the moves with the plan in place. */
export function measureMoves(
  site: Pick<OpenSite, "hold">,
  { plan, chunks, known, onMove }: MovesRequest,
  { signal, progress }: Pick<Bench, "signal" | "progress">,
): Promise<readonly MeasuredMove[]> {
  const moves = planMoves(plan);
  if (known.length >= moves.length) return Promise.resolve(known);
  return site.hold(planTypes(plan), async (held) => {
    const score = async (types: ProbeTypes) =>
      (await measureChunks(held, types, { first: 0, end: chunks }, signal)).map(({ kld }) => kld);
    const before = await score(new Map());
    const measured = [...known];
    for (const { group, step, types, predicted } of moves.slice(known.length)) {
      signal.throwIfAborted();
      progress.steps("moving", measured.length, moves.length, `${group} ${step}`);
      measured.push({ group, step, predicted, effect: pairedDifference(await score(types), before) });
      await onMove(measured);
    }
    progress.steps("moving", moves.length, moves.length);
    return measured;
  });
}
