/**
 * Which tensors the next probe degrades together. First the head and the embedding alone, then every class whole, then
 * always the part of a class whose probe is expected to lower the loss most: at the optimum every tensor's loss is
 * proportional to its elements, and a plan made with a wrong ln density loses in proportion to its squared error, so a
 * probe is worth Σ elements × the variance of ln density it removes. The budget does not enter: probes serve all.
 */
import { logKld, type ProbedTensor, type ProbeFit, type ProbePart, sharesOf } from "./probe-fit.ts";

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

/** The groups every set of probes begins with: `alone` by name, then each class whole, the largest first. */
export function firstGroups(
  groups: readonly ProbeGroup[],
  tensors: readonly ProbedTensor[],
  alone: readonly string[],
): ProbeGroup[] {
  const elements = ({ tensors: members }: ProbeGroup) =>
    members.reduce((sum, index) => sum + (tensors[index]?.elements ?? 0), 0);
  const heads = groups.filter(({ name }) => alone.includes(name));
  const seen = new Set(heads.flatMap((group) => group.tensors.map((index) => tensors[index]?.class)));
  const wholes = groups.filter(({ tensors: [first = -1] }) => {
    const own = tensors[first]?.class;
    if (seen.has(own)) return false;
    seen.add(own);
    return true;
  });
  return [...heads, ...wholes.sort((a, b) => elements(b) - elements(a))];
}

/** The group worth most, or undefined where nothing is left to learn. `partsOf`: what its probe would degrade. */
export function nextGroup(
  candidates: readonly ProbeGroup[],
  tensors: readonly ProbedTensor[],
  fit: ProbeFit,
  partsOf: (group: ProbeGroup) => readonly ProbePart[],
): ProbeGroup | undefined {
  const classes = new Map<string, number[]>();
  for (const [index, tensor] of tensors.entries()) {
    classes.set(tensor.class, [...(classes.get(tensor.class) ?? []), index]);
  }
  let best: { group: ProbeGroup; worth: number } | undefined;
  for (const group of candidates) {
    const own = tensors[group.tensors[0] ?? -1]?.class ?? "";
    const worth = worthOf(partsOf(group), classes.get(own) ?? [], tensors, fit);
    if (worth > (best?.worth ?? 0)) best = { group, worth };
  }
  return best?.group;
}

/** Relative standard error a probe is expected to have. */
const EXPECTED_RELATIVE_SE = 0.07;

/** Σ over the class of elements × the variance of ln density that the probe removes. */
function worthOf(
  parts: readonly ProbePart[],
  members: readonly number[],
  tensors: readonly ProbedTensor[],
  fit: ProbeFit,
): number {
  const { shares } = sharesOf(parts, fit.logDensity);
  const withProbe = (tensor: number) =>
    parts.reduce((sum, part, i) => sum + (shares[i] as number) * fit.covariance(tensor, part.tensor), 0);
  const noise = logKld({ kld: 1, se: EXPECTED_RELATIVE_SE }).sd ** 2;
  const variance = parts.reduce((sum, { tensor }, i) => sum + (shares[i] as number) * withProbe(tensor), noise);
  const removed = members.reduce((sum, t) => sum + (tensors[t]?.elements ?? 0) * withProbe(t) ** 2, 0);
  return removed / variance;
}
