/**
 * Moves of a plan: a tensor a step up or down its types while everything else is in those of the plan. Measured there, they
 * tell what the sum of single tensors can't: how its errors happen to lie to all the others.
 */
import { applyConstraints } from "../allocate/constraints.ts";
import type { Bench } from "../bench.ts";
import type { MeanSe } from "../evaluate/evaluation.ts";
import { pairedDifference } from "../evaluate/statistics.ts";
import type { TensorType } from "../ggml/tensor-types.ts";
import { lossOf } from "../plan/costing.ts";
import type { Plan, PlanTensor } from "../plan/plan.ts";
import { costIn } from "../plan/solve.ts";
import { present } from "../present.ts";
import { measureChunks } from "./measure-probe.ts";
import type { OpenSite, ProbeTypes } from "./probe-site.ts";

/** Moves that are measured at most. */
const MOST_MOVES = 48;

/** What moves of a plan follow from. */
export type MovablePlan = Pick<Plan, "tensors" | "facts" | "constraints" | "budget">;

export interface PlanMove {
  readonly tensor: string;
  readonly step: "up" | "down";
  readonly type: TensorType;
  /** That it adds, as the budget counts them. */
  readonly bytes: number;
  /** Loss that it adds by the plan's sensitivity. */
  readonly predicted: number;
}

export interface MeasuredMove extends Pick<PlanMove, "tensor" | "step" | "predicted"> {
  /** Nats of the whole plan's KLD that it adds, paired over chunks. */
  readonly effect: MeanSe;
}

/** The types of a plan, where they are not the source's. */
export function planTypes({ tensors }: Pick<Plan, "tensors">): ProbeTypes {
  return new Map(tensors.flatMap(({ name, type, sourceType }) => (type === sourceType ? [] : [[name, type]])));
}

/** The most promising moves, as far as there are types that the plan's constraints allow. */
export function planMoves(plan: MovablePlan): PlanMove[] {
  const cost = costIn(plan.budget);
  const moves = movable(plan).flatMap((tensor) =>
    (["up", "down"] as const).flatMap((step): PlanMove[] => {
      const to = tensor[step];
      if (to === undefined) return [];
      const predicted = to.loss - (lossOf(tensor) ?? 0);
      const bytes = cost(tensor, to.type) - cost(tensor, tensor.type);
      // where more bits lose more, or nobody minds, nothing is predicted that a measurement could be held to
      const isUsual = step === "up" ? predicted < 0 && bytes > 0 : predicted > 0 && bytes < 0;
      return isUsual ? [{ tensor: tensor.name, step, type: to.type, bytes, predicted }] : [];
    }),
  );
  const price = pricePerByte(moves);
  // what it is dearer than its bytes, beside how far chance may take it: an error lies to all others as it happens to
  const doubt = ({ predicted, bytes }: PlanMove) => (predicted + price * bytes) / Math.sqrt(Math.abs(predicted));
  const chosen = new Set([...moves].sort((a, b) => doubt(a) - doubt(b)).slice(0, MOST_MOVES));
  return moves.filter((move) => chosen.has(move));
}

/** Loss that a byte is worth to the plan: between the best step up that it left and the cheapest down. */
function pricePerByte(moves: readonly PlanMove[]): number {
  const rates = (step: PlanMove["step"]) =>
    moves.flatMap((move) => (move.step === step ? [-move.predicted / move.bytes] : []));
  const [up, down] = [Math.max(0, ...rates("up")), Math.min(...rates("down"))];
  return Number.isFinite(down) ? Math.sqrt(up * down) : up;
}

/** Tensors with the steps that they may take; pinned and tied ones may take none. */
function movable({ tensors, constraints }: MovablePlan): PlanTensor[] {
  const eligible = tensors.filter(({ reason }) => reason !== "ineligible");
  const candidates = eligible.map(({ name, type, up, down }) => ({
    name,
    options: [{ type }, up, down].flatMap((step) =>
      step === undefined ? [] : [{ type: step.type, bytes: 0, loss: 0 }],
    ),
  }));
  const { items } = applyConstraints(candidates, constraints);
  return eligible.map((tensor, at) => {
    const { options = [], group } = items[at] ?? {};
    const { up, down, ...rest } = tensor;
    const allowed = (step: PlanTensor["up"]) =>
      group === undefined && options.some(({ type }) => type === step?.type) ? step : undefined;
    return { ...rest, ...present({ up: allowed(up), down: allowed(down) }) };
  });
}

export interface MovesRequest {
  readonly plan: MovablePlan;
  /** Chunks of the text of probes that each is measured on, as far as it has them. */
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
    const end = Math.min(chunks, held.text.probes.chunks);
    const score = async (types: ProbeTypes) =>
      (await measureChunks(held, types, { first: 0, end }, signal)).map(({ kld }) => kld);
    const before = await score(new Map());
    const measured = [...known];
    for (const { tensor, step, type, predicted } of moves.slice(known.length)) {
      signal.throwIfAborted();
      progress.steps("moving", measured.length, moves.length, `${tensor} ${step}`);
      const moved = await score(new Map([[tensor, type]]));
      measured.push({ tensor, step, predicted, effect: pairedDifference(moved, before) });
      await onMove(measured);
    }
    progress.steps("moving", moves.length, moves.length);
    return measured;
  });
}
