/**
 * What is probed next: a part of a class, or one that was probed already on more chunks, whichever is expected to lower
 * the loss most for its price. At the optimum every tensor's loss is proportional to its elements, and a plan made with a
 * wrong ln density loses in proportion to its squared error, so a probe is worth Σ elements × the variance of ln density
 * it removes. The budget of the plan does not enter: probes serve all.
 */
import { CHUNK_SD } from "./pair-probes.ts";
import { additivityError, type ProbeFit, type ProbePart, sharesOf } from "./probe-fit.ts";
import type { ProbedTensor } from "./probe-kernel.ts";
import type { ProbeCosts } from "./probe-site.ts";

/** A part of a class: consecutive layers of it, or a tensor outside the blocks. */
export interface ProbeGroup {
  /** "output.weight", "ffn_down", "ffn_down 0-3", "ffn_down 2". */
  readonly name: string;
  readonly tensors: readonly number[];
}

/** Every group a probe may degrade: each class whole, its halves by depth, theirs, down to single tensors. */
export function probeGroups(tensors: readonly ProbedTensor[]): ProbeGroup[] {
  const classes = new Map<string, number[]>();
  for (const [index, tensor] of tensors.entries()) {
    classes.set(tensor.class, [...(classes.get(tensor.class) ?? []), index]);
  }
  return [...classes].flatMap(([name, members]) => {
    const sorted = members.sort((a, b) => (tensors[a]?.depth ?? 0) - (tensors[b]?.depth ?? 0));
    return halves(sorted).map((part) => ({ name: groupName(name, part, sorted, tensors), tensors: part }));
  });
}

function halves(members: readonly number[]): (readonly number[])[] {
  if (members.length <= 1) return [members];
  const middle = Math.ceil(members.length / 2);
  return [members, ...halves(members.slice(0, middle)), ...halves(members.slice(middle))];
}

function groupName(
  name: string,
  part: readonly number[],
  whole: readonly number[],
  tensors: readonly ProbedTensor[],
): string {
  if (part.length === 1) return tensors[part[0] as number]?.name ?? name;
  if (part.length === whole.length) return name;
  const ends = [part[0], part.at(-1)].map((index) => tensors[index as number]?.layer ?? 0);
  return `${name} ${ends.join("-")}`;
}

/** A probe that was taken. */
export interface TakenProbe {
  readonly group: ProbeGroup;
  readonly parts: readonly ProbePart[];
  readonly chunks: number;
}

export interface ProbeStep {
  readonly group: ProbeGroup;
  /** On how many chunks, first to last, it is known then. */
  readonly chunks: number;
}

export interface StepChoice {
  /** Groups that were not probed, none where no more may be. */
  readonly untaken: readonly ProbeGroup[];
  readonly taken: readonly TakenProbe[];
  /** Chunks there are. */
  readonly chunks: number;
  readonly costs: ProbeCosts;
  /** What a probe of the group would degrade. */
  readonly partsOf: (group: ProbeGroup) => readonly ProbePart[];
}

/** What is worth most for its chunks: a new group, or more chunks of one; undefined where nothing is left to learn. */
export function nextStep(
  { untaken, taken, chunks, costs, partsOf }: StepChoice,
  tensors: readonly ProbedTensor[],
  fit: ProbeFit,
): ProbeStep | undefined {
  const worthOf = worthBy(tensors, fit);
  const elementsOf = (members: readonly number[]) => members.reduce((sum, t) => sum + (tensors[t]?.elements ?? 0), 0);
  const total = elementsOf([...tensors.keys()]);
  let best: { step: ProbeStep; worth: number } | undefined;
  const consider = (step: ProbeStep, parts: readonly ProbePart[], noise: number, more: number) => {
    const price = more + costs.each + (costs.whole * elementsOf(step.group.tensors)) / total;
    const worth = worthOf(parts, noise) / price;
    if (worth > (best?.worth ?? 0)) best = { step, worth };
  };
  const first = Math.min(costs.first, chunks);
  for (const group of untaken) {
    consider({ group, chunks: first }, partsOf(group), stepNoise(group, 0, first), first);
  }
  for (const { group, parts, chunks: before } of taken) {
    const after = Math.min(chunks, 2 * before);
    if (after === before) continue;
    consider({ group, chunks: after }, parts, stepNoise(group, before, after), after - before);
  }
  return best?.step;
}

/** Variance of the log of what chunks `first` … `end − 1` of a probe tell besides those before. */
export function stepNoise(group: ProbeGroup, first: number, end: number): number {
  const less = noiseOf(group, end);
  if (first === 0) return less;
  const noise = noiseOf(group, first);
  // as much as another probe whose error, taken together with that of the first, leaves that of both
  return (noise * less) / (noise - less);
}

/** Variance of the log of a probe of so many chunks. */
function noiseOf({ tensors }: ProbeGroup, chunks: number): number {
  return additivityError(tensors.length) ** 2 + CHUNK_SD ** 2 / chunks;
}

/** Σ over the class of elements × the variance of ln density that a probe with this noise removes. */
function worthBy(
  tensors: readonly ProbedTensor[],
  fit: ProbeFit,
): (parts: readonly ProbePart[], noise: number) => number {
  const classes = new Map<string, number[]>();
  for (const [index, tensor] of tensors.entries()) {
    classes.set(tensor.class, [...(classes.get(tensor.class) ?? []), index]);
  }
  // a class is asked for by all of its groups
  const rows = new Map<number, Float64Array>();
  const rowOf = (tensor: number, members: readonly number[]) => {
    const row = rows.get(tensor) ?? Float64Array.from(members, (other) => fit.covariance(tensor, other));
    rows.set(tensor, row);
    return row;
  };
  return (parts, noise) => {
    const members = classes.get(tensors[parts[0]?.tensor ?? -1]?.class ?? "") ?? [];
    const { shares } = sharesOf(parts, fit.logDensity);
    const withProbe = new Float64Array(members.length);
    for (const [i, { tensor }] of parts.entries()) {
      const row = rowOf(tensor, members);
      for (let m = 0; m < withProbe.length; m++) {
        withProbe[m] = (withProbe[m] as number) + (shares[i] as number) * (row[m] as number);
      }
    }
    const variance = parts.reduce(
      (sum, { tensor }, i) => sum + (shares[i] as number) * (withProbe[members.indexOf(tensor)] as number),
      noise,
    );
    const removed = members.reduce((sum, t, m) => sum + (tensors[t]?.elements ?? 0) * (withProbe[m] as number) ** 2, 0);
    return removed / variance;
  };
}
