/** How far the file of a row is from the reference, by what a verdict goes: documents or vectors where there are any, else the KLD. */
import type { MeanSe } from "../evaluate/evaluation.ts";
import { pairedDifference } from "../evaluate/statistics.ts";
import type { FrontPoint } from "./front.ts";
import type { RunRow } from "./run-document.ts";

/** KLD of `row` minus the plan's. Without values per chunk (programs engine) the errors are taken as independent. */
export function kldDifference(plan: RunRow, row: RunRow): MeanSe | undefined {
  if (plan.kld === undefined || row.kld === undefined) return undefined;
  if (plan.kldPerChunk !== undefined && row.kldPerChunk !== undefined) {
    return pairedDifference(row.kldPerChunk, plan.kldPerChunk);
  }
  return { value: row.kld.mean - plan.kld.mean, se: Math.hypot(row.kld.se, plan.kld.se) };
}

/** Mean |Δscore| of `row` minus the plan's. */
export function rerankDifference({ rerank: plan }: RunRow, { rerank: row }: RunRow): MeanSe | undefined {
  return plan === undefined || row === undefined ? undefined : pairedDifference(row.perQuery, plan.perQuery);
}

/** Drift of `row` minus the plan's. */
export function driftDifference({ embedding: plan }: RunRow, { embedding: row }: RunRow): MeanSe | undefined {
  return plan === undefined || row === undefined ? undefined : pairedDifference(row.perText, plan.perText);
}

export function differenceTo(plan: RunRow, row: RunRow): MeanSe | undefined {
  if (plan.rerank !== undefined) return rerankDifference(plan, row);
  return plan.embedding === undefined ? kldDifference(plan, row) : driftDifference(plan, row);
}

/** KLD, or of models that embed the drift: what falls with size as a power does. */
export function distanceOf({ kld, embedding }: Pick<RunRow, "kld" | "embedding">): number | undefined {
  return kld?.mean ?? embedding?.drift.value;
}

/** What distanceOf gives, as a sentence calls it. */
export function distanceName({ kld }: Pick<RunRow, "kld">): string {
  return kld === undefined ? "drift" : "KLD";
}

/** How much more of `row` than of `other`, in percent. */
export function changeFrom(other: RunRow | undefined, row: RunRow): number | undefined {
  const [before, now] = [other && distanceOf(other), distanceOf(row)];
  return before === undefined || now === undefined ? undefined : 100 * (now / before - 1);
}

/** At `fileBytes` on the straight line of the logarithm over bytes between the points just below and just above. */
export function interpolateAt(points: readonly FrontPoint[], fileBytes: number): number | undefined {
  const usable = points.filter(({ value }) => value > 0);
  const below = usable.filter((point) => point.fileBytes <= fileBytes).sort((a, b) => b.fileBytes - a.fileBytes)[0];
  const above = usable.filter((point) => point.fileBytes > fileBytes).sort((a, b) => a.fileBytes - b.fileBytes)[0];
  if (below === undefined || above === undefined) return undefined;
  const share = (fileBytes - below.fileBytes) / (above.fileBytes - below.fileBytes);
  return Math.exp((1 - share) * Math.log(below.value) + share * Math.log(above.value));
}
