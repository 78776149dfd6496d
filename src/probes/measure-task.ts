/** One step of probing, measured. */
import type { Analysis, TensorAnalysis } from "../analyze/analysis.ts";
import type { ProbedChunk, ProbeMeasurement } from "../sensitivity/density-document.ts";
import { meanOfChunks, measureChunks } from "./measure-probe.ts";
import type { ProbeTask } from "./probe-choice.ts";
import { probeTypes } from "./probe-group.ts";
import type { ProbeSite } from "./probe-site.ts";
import type { ProbeStore } from "./probe-store.ts";

/** The chunks of a step, no more and no less. */
export function measureTask(
  site: ProbeSite,
  { tensors }: Pick<Analysis, "tensors">,
  task: ProbeTask,
  signal: AbortSignal,
): Promise<ProbedChunk[]> {
  const byName = new Map(tensors.map((tensor) => [tensor.name, tensor]));
  const members = task.tensors.map((name) => byName.get(name) as TensorAnalysis);
  return measureChunks(site, probeTypes(members, task.type), task, signal);
}

/** All chunks of the group up to the end of the step; those that the store has are not decoded again. */
export async function measureStored(
  { site, store }: { readonly site: ProbeSite; readonly store: ProbeStore },
  analysis: Pick<Analysis, "tensors">,
  task: ProbeTask,
  signal: AbortSignal,
): Promise<ProbeMeasurement> {
  const known = store.find(task.tensors, task.type)?.perChunk ?? [];
  // no more than asked for: what an earlier run went on to measure must not change what this one chooses
  if (known.length >= task.end) return measurementOf(task, known.slice(0, task.end));
  const more = await measureTask(site, analysis, { ...task, first: known.length }, signal);
  const measurement = measurementOf(task, [...known, ...more]);
  await store.add(measurement);
  return measurement;
}

export function measurementOf(
  { group, tensors, type }: Pick<ProbeTask, "group" | "tensors" | "type">,
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

/** With what was measured of a group in a type in place of what was known of it before. */
export function withMeasurement(
  measurements: readonly ProbeMeasurement[],
  measured: ProbeMeasurement,
): ProbeMeasurement[] {
  const isSame = (one: ProbeMeasurement) => one.group === measured.group && one.type === measured.type;
  if (!measurements.some(isSame)) return [...measurements, measured];
  return measurements.map((one) => (isSame(one) ? measured : one));
}
