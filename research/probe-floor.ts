/**
 * What of a probe is the tensor's own. Two things are taken out of the measured figures:
 *
 * 1. Joint probes: tensors of one layer with the very same KLD were degraded together; it is divided by elements.
 * 2. The noise floor of models of 27B and more: their probes hold a KLD that any disturbance causes, however small. In
 *    hybrids it falls with depth, and the tiny ssm_alpha and ssm_beta show it: the floor of a layer is the least of
 *    them within four layers. In other models it is the least probe of all; where an MTP block was probed, whose
 *    tensors can't change a logit, that is the floor exactly (GLM-4.5-Air: .003003 for every one of them).
 *
 * A tensor at its floor keeps a tenth of what the mean density gives it: less can't be told from noise.
 */
import type { TensorAnalysis } from "../src/analyze/analysis.ts";

/** Weights: the 27B has 26.9e9. */
const LARGE_MODEL = 26e9;
/** Weights of a tensor too small to be seen above the floor of a large model. */
const NULL_PROBE_ELEMENTS = 2 ** 18;
/** Layers either way: the attention layers of hybrids have no null probe of their own. */
const WINDOW = 4;
const LEAST_SHARE = 0.1;

type Probes = Readonly<Record<string, number>>;
type Tensor = Pick<TensorAnalysis, "name" | "layer" | "elements" | "eligible">;

/** Separate each eligible tensor's own KLD from what was probed; one without a probe gets the mean density. */
export function ownKld(probes: Probes, tensors: readonly Tensor[]): { kld: Map<string, number>; seen: Set<string> } {
  const probed = tensors.filter(({ name }) => probes[name] !== undefined);
  const floorOf = isLarge(tensors) ? noiseFloor(probes, probed) : () => 0;
  const joint = new Map<string, Tensor[]>();
  for (const tensor of probed) {
    const key = tensor.layer === undefined ? tensor.name : `${tensor.layer} ${probes[tensor.name]}`;
    joint.set(key, [...(joint.get(key) ?? []), tensor]);
  }
  const own = new Map<string, number>();
  for (const members of joint.values()) {
    const elements = sumElements(members);
    for (const member of members) {
      const above = (probes[member.name] ?? 0) - floorOf(member);
      own.set(member.name, (above * member.elements) / elements);
    }
  }
  const mean = [...own.values()].reduce((sum, kld) => sum + Math.max(0, kld), 0) / sumElements(probed);
  for (const { name, elements } of tensors.filter(({ eligible }) => eligible)) {
    own.set(name, Math.max(own.get(name) ?? mean * elements, LEAST_SHARE * mean * elements));
  }
  const visible = probed.filter(({ elements }) => !(isLarge(tensors) && elements <= NULL_PROBE_ELEMENTS));
  return { kld: own, seen: new Set(visible.map(({ name }) => name)) };
}

function noiseFloor(probes: Probes, probed: readonly Tensor[]): (tensor: Tensor) => number {
  const least = Math.min(...Object.values(probes));
  const nulls = probed.filter(({ elements }) => elements <= NULL_PROBE_ELEMENTS);
  const lastLayer = Math.max(...probed.map(({ layer }) => layer ?? 0));
  return ({ name, layer }) => {
    const at = layer ?? (name.startsWith("output") ? lastLayer : 0);
    const near = nulls.filter((other) => Math.abs((other.layer ?? 0) - at) <= WINDOW);
    return near.length === 0 ? least : Math.min(...near.map((other) => probes[other.name] ?? 0));
  };
}

function isLarge(tensors: readonly Tensor[]): boolean {
  return sumElements(tensors) >= LARGE_MODEL;
}

function sumElements(tensors: readonly Tensor[]): number {
  return tensors.reduce((sum, { elements }) => sum + elements, 0);
}
