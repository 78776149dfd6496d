/** The probes of a campaign: which units there are, round by round, and what all of them say. */
import type { Content } from "../../documents/fields.ts";
import * as t from "../../documents/fields.ts";
import { FormatError } from "../../errors.ts";
import { TENSOR_TYPE } from "../../ggml/type-fields.ts";
import { blocksOf } from "../../imatrix/importance-blocks.ts";
import { COSTS } from "../../probes/in-place-site.ts";
import { measurementOf, withMeasurement } from "../../probes/measure-task.ts";
import {
  chooseTasks,
  designProbes,
  fitTaken,
  type ProbeDesign,
  type ProbeTask,
  takenGroups,
} from "../../probes/probe-choice.ts";
import { describeTaken } from "../../probes/probe-model.ts";
import type { Probed } from "../../probes/probed.ts";
import { PROBED_CHUNK, type ProbeMeasurement } from "../../sensitivity/density-document.ts";
import { requireContent } from "../campaign.ts";
import { campaignAnalysis } from "../campaign-analysis.ts";
import type { Campaign } from "../campaign-document.ts";
import { LARGE_VALUE } from "../large-values.ts";
import type { CampaignPlace, DoneUnit, PlannedUnit } from "../stage.ts";
import type { UnitCosts } from "./probe-costs.ts";

/** Chunks `from` … `to − 1`: the logits of the reference, or with a group what it does in a type. */
export const PROBES_UNIT = t.object({
  group: t.optional(t.name()),
  type: t.optional(TENSOR_TYPE),
  from: t.count(),
  to: t.count(),
});

export const PROBES_OPTIONS = t.object({
  probes: t.some("Groups at most."),
  decoded: t.some("Chunks decoded for all of them."),
  round: t.some("Groups that are chosen at a time."),
  context: t.some("Tokens of a chunk."),
  chunks: t.some("Of the text."),
  block: t.some("Chunks of a unit, which are decoded together."),
  prior: t.object({ mode: t.name(), values: t.table(t.amount(), "Sensitivity of every tensor before any probe.") }),
  devices: t.list(t.prose()),
});
export type ProbesOptions = Content<typeof PROBES_OPTIONS>;

export const PROBES_VALUE = t.object({
  logits: t.optional(LARGE_VALUE),
  perChunk: t.optional(t.list(PROBED_CHUNK)),
});
export type ProbesValue = Content<typeof PROBES_VALUE>;

export function probesOptions({ options }: Pick<Campaign, "options">): ProbesOptions {
  return requireContent(PROBES_OPTIONS, options, "options");
}

/** What may be probed, by the campaign alone. */
export async function campaignDesign({ directory, campaign }: CampaignPlace): Promise<ProbeDesign> {
  const { probes, decoded, chunks, prior } = probesOptions(campaign);
  const { mode, values } = prior;
  return designProbes({
    analysis: await campaignAnalysis({ directory, campaign }),
    prior: { mode, version: "", lossUnit: "nats", values: new Map(Object.entries(values)) },
    budget: { probes, chunks: decoded },
    costs: COSTS.processor,
    chunks,
  });
}

export function nameOfProbe({ group, type, from, to }: Content<typeof PROBES_UNIT>): string {
  return `${group === undefined ? "the reference" : `${group} in ${type}`}, chunks ${from} to ${to - 1}`;
}

/** The reference's logits, before any probe. */
export function referenceUnits({ chunks, block, context }: ProbesOptions, costs: UnitCosts): PlannedUnit[] {
  return blocksOf(chunks, block).map(({ from, to }) => ({
    of: { from, to },
    cost: costs.decode((to - from) * context),
  }));
}

/** The units of the next round. */
export function nextUnits(
  design: ProbeDesign,
  { round, context, block }: Pick<ProbesOptions, "round" | "context" | "block">,
  costs: UnitCosts,
  done: readonly DoneUnit[],
): PlannedUnit[] {
  const { taken, fit } = fitDone(design, done);
  const total = design.tensors.reduce((sum, { elements }) => sum + elements, 0);
  const elements = new Map(design.tensors.map((tensor) => [tensor.name, tensor.elements]));
  return chooseTasks(design, taken, fit, round).flatMap(({ group, type, tensors, first, end }) => {
    const part = tensors.reduce((sum, name) => sum + (elements.get(name) ?? 0), 0) / total;
    return blocksOf(end - first, block).map(({ from, to }) => ({
      of: { group, type, from: first + from, to: first + to },
      cost: costs.decode((to - from) * context) + costs.degrade(part),
    }));
  });
}

/** What all probes say together. */
export function describeDone(design: ProbeDesign, done: readonly DoneUnit[]): Probed {
  const { taken, fit } = fitDone(design, done);
  return describeTaken(design, taken, fit, "nats");
}

function fitDone(design: ProbeDesign, done: readonly DoneUnit[]) {
  const taken = takenGroups(design, measurementsOf(design, done));
  return { taken, fit: fitTaken(design, taken) };
}

/** Measurements, in the order in which they were begun, of units in the order in which they were chosen. */
function measurementsOf(design: ProbeDesign, done: readonly DoneUnit[]): readonly ProbeMeasurement[] {
  let measurements: readonly ProbeMeasurement[] = [];
  for (const { of, value } of done) {
    const unit = requireContent(PROBES_UNIT, of, "unit");
    if (unit.group === undefined) continue;
    const task = taskOf(design, unit);
    const { perChunk = [] } = value as ProbesValue;
    const before = measurements.find((one) => one.group === task.group && one.type === task.type)?.perChunk ?? [];
    if (before.length !== task.first || perChunk.length !== task.end - task.first) {
      throw new FormatError("campaign.json", `the chunks of ${task.group} in ${task.type} are not one after another`);
    }
    measurements = withMeasurement(measurements, measurementOf(task, [...before, ...perChunk]));
  }
  return measurements;
}

/** What a unit of a group is to measure. Throws FormatError for a group that the model has not. */
export function taskOf(design: ProbeDesign, { group, type, from, to }: Content<typeof PROBES_UNIT>): ProbeTask {
  const found = design.groups.find(({ name }) => name === group);
  if (found === undefined || type === undefined || from >= to || to > design.chunks) {
    throw new FormatError("campaign.json", `has no probe ${JSON.stringify({ group, type, from, to })}; make it again`);
  }
  const tensors = found.tensors.map((index) => design.tensors[index]?.name as string);
  return { group: found.name, tensors, type, first: from, end: to };
}
