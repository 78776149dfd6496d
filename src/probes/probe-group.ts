/** One group of tensors to degrade: in which types, and what it costs. */
import type { TensorAnalysis } from "../analyze/analysis.ts";
import { bitsPerWeight, type TensorType } from "../ggml/tensor-types.ts";
import type { ProbedChunk } from "../sensitivity/density-document.ts";
import { meanOfChunks, measureChunks } from "./measure-probe.ts";
import type { ProbeSite } from "./probe-site.ts";
import type { ProbeMeasurement, ProbeStore } from "./probe-store.ts";

/** The type a probe degrades to: its damage stands out of the noise and still adds up (research/probe-physics.ts). */
const PROBE_TYPE: TensorType = "Q3_K";
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

/** Where a group is measured, and where measurements are kept. */
export interface ProbePlace {
  readonly site: ProbeSite;
  readonly store: ProbeStore;
}

export interface ProbedGroup {
  readonly name: string;
  readonly members: readonly TensorAnalysis[];
}

/** Measure the group on the first `chunks` chunks, in a coarser type where it drowns in noise, in a finer one where the model breaks. */
export async function measureGroup(
  place: ProbePlace,
  group: ProbedGroup,
  chunks: number,
  signal: AbortSignal,
): Promise<ProbeMeasurement> {
  const usual = await measureIn(place, group, PROBE_TYPE, chunks, signal);
  if (usual.kld > LARGE_KLD) return measureIn(place, group, FINER_TYPE, chunks, signal);
  if (usual.kld < NOISE_STANDARD_ERRORS * usual.se) return measureIn(place, group, COARSER_TYPE, chunks, signal);
  return usual;
}

/** Measure the group in this type on the first `chunks` chunks; those that the store has are not decoded again. */
export async function measureIn(
  { site, store }: ProbePlace,
  { name, members }: ProbedGroup,
  type: TensorType,
  chunks: number,
  signal: AbortSignal,
): Promise<ProbeMeasurement> {
  const tensors = members.map((tensor) => tensor.name);
  const known = store.find(tensors, type)?.perChunk ?? [];
  // no more than asked for: what an earlier run went on to measure must not change what this one chooses
  if (known.length >= chunks) return measurementOf(name, tensors, type, known.slice(0, chunks));
  const types = new Map(probeParts(members, type).map(({ tensor, type: own }) => [tensor.name, own]));
  const more = await measureChunks(site, types, { first: known.length, end: chunks }, signal);
  const measurement = measurementOf(name, tensors, type, [...known, ...more]);
  await store.add(measurement);
  return measurement;
}

function measurementOf(
  group: string,
  tensors: readonly string[],
  type: TensorType,
  perChunk: readonly ProbedChunk[],
): ProbeMeasurement {
  return {
    group,
    tensors: [...tensors],
    type,
    ...meanOfChunks(perChunk),
    chunks: perChunk.length,
    perChunk: [...perChunk],
  };
}
