/**
 * Enumerate the states of the core: sums of deviations, one layer per unit, in Pareto order of bytes and loss.
 */
import type { CoreUnit, Window } from "./core.ts";
import type { WalkPoint } from "./walk.ts";

/** States of all layers; `parent` is an index into the same arrays, `pick` an index into the layer's CoreUnit. */
export interface States {
  readonly bytes: Float64Array;
  readonly costs: Float64Array;
  readonly parent: Int32Array;
  readonly pick: Uint8Array;
}

/** The last layer of an enumeration: states from `start` to `end`, bytes rising. */
export interface Enumeration {
  readonly core: readonly CoreUnit[];
  readonly start: number;
  readonly end: number;
}

export function makeStates(capacity: number): States {
  return {
    bytes: new Float64Array(capacity),
    costs: new Float64Array(capacity),
    parent: new Int32Array(capacity),
    pick: new Uint8Array(capacity),
  };
}

/** Cheapest way back per byte, over the units from each layer on: upwards, and downwards. */
function wayBack(core: readonly CoreUnit[]): { up: Float64Array; down: Float64Array } {
  const up = new Float64Array(core.length + 1).fill(Number.POSITIVE_INFINITY);
  const down = new Float64Array(core.length + 1).fill(Number.POSITIVE_INFINITY);
  for (let layer = core.length - 1; layer >= 0; layer--) {
    const { bytes, costs } = core[layer] as CoreUnit;
    let cheapestUp = up[layer + 1] as number;
    let cheapestDown = down[layer + 1] as number;
    for (let i = 1; i < bytes.length; i++) {
      const perByte = (costs[i] as number) / Math.abs(bytes[i] as number);
      if ((bytes[i] as number) > 0) cheapestUp = Math.min(cheapestUp, perByte);
      else cheapestDown = Math.min(cheapestDown, perByte);
    }
    up[layer] = cheapestUp;
    down[layer] = cheapestDown;
  }
  return { up, down };
}

/**
 * Enumerate the efficient states up to `maxCost` into `states`, whose length is the limit on the work: undefined when
 * they don't fit. With `bins`, a layer keeps only the cheapest state of each of that many slices of three windows, so
 * it always fits (room for layers × bins + bins × picks) but may miss the optimum.
 */
export function enumerate(
  core: readonly CoreUnit[],
  window: Window,
  maxCost: number,
  states: States,
  bins?: number,
): Enumeration | undefined {
  const { up, down } = wayBack(core);
  states.bytes[0] = 0;
  states.costs[0] = 0;
  let start = 0;
  let end = 1;
  for (let layer = 0; layer < core.length; layer++) {
    const back = { up: up[layer + 1] as number, down: down[layer + 1] as number };
    const next = extend(core[layer] as CoreUnit, { start, end }, window, maxCost, back, states, bins !== undefined);
    if (next === undefined) return undefined;
    start = end;
    end = bins === undefined || next - start <= bins ? next : thin(states, start, next, window, bins);
  }
  return { core, start, end };
}

/** Add a layer behind the last: every state with every pick, merged in order of bytes, dominated states dropped. */
function extend(
  { bytes: picks, costs: pickCosts }: CoreUnit,
  { start, end }: { start: number; end: number },
  window: Window,
  maxCost: number,
  back: { up: number; down: number },
  states: States,
  near: boolean,
): number | undefined {
  const { bytes, costs, parent, pick } = states;
  const lowest = near ? -window.bytes : Number.NEGATIVE_INFINITY;
  const highest = near ? 2 * window.bytes : Number.POSITIVE_INFINITY;
  const heads = new Int32Array(picks.length).fill(start);
  let kept = end;
  let leastLoss = Number.POSITIVE_INFINITY;
  for (;;) {
    let best = -1;
    let bestBytes = Number.POSITIVE_INFINITY;
    let bestCost = Number.POSITIVE_INFINITY;
    for (let p = 0; p < picks.length; p++) {
      const head = heads[p] as number;
      if (head === end) continue;
      const total = (bytes[head] as number) + (picks[p] as number);
      if (total > bestBytes) continue;
      const cost = (costs[head] as number) + (pickCosts[p] as number);
      if (total === bestBytes && cost >= bestCost) continue;
      best = p;
      bestBytes = total;
      bestCost = cost;
    }
    if (best < 0) return kept;
    const head = heads[best] as number;
    heads[best] = head + 1;
    const loss = bestCost - window.lambda * bestBytes;
    if (bestCost > maxCost || loss >= leastLoss || bestBytes < lowest || bestBytes > highest) continue;
    if (bestBytes < 0 && bestCost - bestBytes * back.up > maxCost) continue;
    const excess = bestBytes - window.bytes + 1;
    if (excess > 0 && bestCost + excess * back.down > maxCost) continue;
    if (kept === bytes.length) return undefined;
    bytes[kept] = bestBytes;
    costs[kept] = bestCost;
    parent[kept] = head;
    pick[kept] = best;
    leastLoss = loss;
    kept++;
  }
}

function thin(states: States, start: number, end: number, window: Window, bins: number): number {
  const { bytes, costs, parent, pick } = states;
  const binBytes = (3 * window.bytes) / bins;
  let kept = start;
  let lastBin = Number.NaN;
  for (let i = start; i < end; i++) {
    const bin = Math.floor((bytes[i] as number) / binBytes);
    if (bin === lastBin) {
      if ((costs[i] as number) >= (costs[kept - 1] as number)) continue;
      kept--;
    }
    lastBin = bin;
    bytes[kept] = bytes[i] as number;
    costs[kept] = costs[i] as number;
    parent[kept] = parent[i] as number;
    pick[kept] = pick[i] as number;
    kept++;
  }
  return kept;
}

/** The choice per unit that leads to a state of the last layer. */
export function traceChoice(point: WalkPoint, { core }: Enumeration, states: States, state: number): Int32Array {
  const choice = point.choice.slice();
  let at = state;
  for (let layer = core.length - 1; layer >= 0; layer--) {
    const { unit, options } = core[layer] as CoreUnit;
    choice[unit] = options[states.pick[at] as number] as number;
    at = states.parent[at] as number;
  }
  return choice;
}
