/** One group of tensors to degrade: in which types, and what it costs. */
import type { TensorAnalysis } from "../analyze/analysis.ts";
import { bitsPerWeight, type TensorType } from "../ggml/tensor-types.ts";
import type { ProbeMeasurement } from "../sensitivity/density-document.ts";
import { meanOfChunks } from "./measure-probe.ts";
import type { ProbeTypes } from "./probe-site.ts";

/** The type a probe degrades to: its damage stands out of the noise and still adds up (research/probe-physics.ts). */
export const PROBE_TYPE: TensorType = "Q3_K";
/** For a group whose damage by PROBE_TYPE is lost in the noise, and for one that it ruins. */
const COARSER_TYPE: TensorType = "Q2_K";
const FINER_TYPE: TensorType = "Q5_K";
/** Nats: above it the damage of one group alone is no small change any more. */
const LARGE_KLD = 0.2;
const NOISE_STANDARD_ERRORS = 3;

export interface DegradedTensor {
  readonly tensor: TensorAnalysis;
  readonly type: TensorType;
  readonly distortion: number;
}

/**
 * Each tensor in `type`, or where that was not measured in the type whose distortion is nearest to its usual one. Where a
 * type of fewer bits has less of it, in that: a column that outweighs all others drowns in Q3_K and not in Q2_K, so that
 * Q3_K tells nothing of the types that a plan may choose (blk.28.ffn_down of SmolLM2: 70 times too little).
 */
export function probeParts(members: readonly TensorAnalysis[], type: TensorType = PROBE_TYPE): DegradedTensor[] {
  return members.map((tensor) => {
    const measured = Object.entries(tensor.distortion ?? {}) as [TensorType, { value: number }][];
    const own = tensor.distortion?.[type];
    const better = measured.filter(
      ([other, { value }]) => own !== undefined && bitsPerWeight(other) < bitsPerWeight(type) && value < own.value,
    );
    const [best] = better.sort((a, b) => a[1].value - b[1].value);
    if (best !== undefined) return { tensor, type: best[0], distortion: best[1].value };
    if (own !== undefined) return { tensor, type, distortion: own.value };
    const wanted = Math.log(TYPICAL_DISTORTION[type] ?? 1);
    const distance = (value: number) => (value > 0 ? Math.abs(Math.log(value) - wanted) : Number.POSITIVE_INFINITY);
    const nearest = measured.sort((a, b) => distance(a[1].value) - distance(b[1].value))[0];
    return { tensor, type: nearest?.[0] ?? type, distortion: nearest?.[1].value ?? 0 };
  });
}

/** D of normally distributed weights. */
const TYPICAL_DISTORTION: Readonly<Partial<Record<TensorType, number>>> = { Q2_K: 0.08, Q3_K: 0.023, Q5_K: 0.0014 };

/**
 * The type that a group has to be measured in instead, by its first chunks in the usual one: a coarser one where it drowns
 * in noise, a finer one where the model breaks.
 */
export function typeInstead({ perChunk = [] }: ProbeMeasurement, chunks: number): TensorType | undefined {
  const { kld, se } = meanOfChunks(perChunk.slice(0, chunks));
  if (kld > LARGE_KLD) return FINER_TYPE;
  return kld < NOISE_STANDARD_ERRORS * se ? COARSER_TYPE : undefined;
}

/** What the tensors are degraded to for a probe in `type`. */
export function probeTypes(members: readonly TensorAnalysis[], type: TensorType): ProbeTypes {
  return new Map(probeParts(members, type).map(({ tensor, type: own }) => [tensor.name, own]));
}
