/**
 * Which probe comes next: a function of the measurements that were taken, of nothing else. The head and the embedding come
 * first, alone; then what is worth most for its price; and a group whose usual type tells too little is measured in another
 * type before anything follows from it.
 */
import type { Analysis, TensorAnalysis } from "../analyze/analysis.ts";
import { isHead, tensorRole } from "../ggml/tensor-class.ts";
import type { TensorType } from "../ggml/tensor-types.ts";
import type { ProbeMeasurement } from "../sensitivity/density-document.ts";
import type { Sensitivity } from "../sensitivity/sensitivity.ts";
import { believe } from "./believed-fit.ts";
import { type ProbeReading, pairProbes } from "./pair-probes.ts";
import { nextStep, type ProbeGroup, probeGroups, stepNoise } from "./probe-design.ts";
import { fitProbes, type ProbeFit, type ProbeObservation, type ProbePart } from "./probe-fit.ts";
import { PROBE_TYPE, probeParts, typeInstead } from "./probe-group.ts";
import { type ProbedTensor, type ProbeKernel, probeKernel } from "./probe-kernel.ts";
import type { ProbeCosts } from "./probe-site.ts";

export interface ProbeBudget {
  /** Groups to probe at most; as many as there are tensors: every tensor alone. */
  readonly probes?: number | undefined;
  /** Chunks to decode for all of them. */
  readonly chunks: number;
  /** No more where better knowledge would save no more than this part of the loss. */
  readonly regret?: number | undefined;
}

/** A group in one type, on chunks `first` … `end − 1`: as much as is measured at a time. */
export interface ProbeTask {
  readonly group: string;
  readonly tensors: readonly string[];
  readonly type: TensorType;
  readonly first: number;
  readonly end: number;
}

export interface DesignRequest {
  readonly analysis: Analysis;
  readonly prior: Sensitivity;
  readonly budget: ProbeBudget;
  readonly costs: ProbeCosts;
  /** Chunks of the text to probe on. */
  readonly chunks: number;
}

/** What may be probed of a model, and what is believed of it before. */
export interface ProbeDesign extends DesignRequest {
  readonly eligible: readonly TensorAnalysis[];
  readonly tensors: readonly ProbedTensor[];
  readonly kernel: ProbeKernel;
  readonly groups: readonly ProbeGroup[];
  /** Groups that are probed before all others. */
  readonly leading: readonly ProbeGroup[];
  /** Groups at most. */
  readonly most: number;
}

export function designProbes(request: DesignRequest): ProbeDesign {
  const { analysis, prior, budget } = request;
  const eligible = analysis.tensors.filter((tensor) => tensor.eligible);
  const tensors = describeTensors(analysis, eligible, prior);
  const seen = eligible.map((tensor) => isSeen(analysis, tensor));
  const groups = probeGroups(tensors).flatMap((group): ProbeGroup[] => {
    const members = group.tensors.filter((index) => seen[index]);
    return members.length === 0 ? [] : [{ ...group, tensors: members }];
  });
  const singles = groups.filter((group) => group.tensors.length === 1);
  const most = budget.probes ?? groups.length;
  const isExhaustive = budget.probes !== undefined && most >= singles.length;
  const isAlone = (name: string) => name === "token_embd.weight" || isHead(name, analysis.facts);
  const leading = isExhaustive ? singles : groups.filter(({ name }) => isAlone(name));
  return { ...request, eligible, tensors, kernel: probeKernel(tensors), groups, leading, most };
}

/** Whether an evaluation sees the tensor's damage and there is some to see. */
export function isSeen({ facts }: Analysis, tensor: TensorAnalysis): boolean {
  return tensorRole(tensor.name, facts) !== "mtp" && probeParts([tensor]).some(({ distortion }) => distortion > 0);
}

function describeTensors({ facts }: Analysis, eligible: readonly TensorAnalysis[], prior: Sensitivity): ProbedTensor[] {
  const last = Math.max(1, facts.layers - 1);
  return eligible.map(({ name, class: tensorClass, layer, elements }) => ({
    name,
    class: tensorClass,
    ...(layer === undefined ? {} : { layer, depth: layer / last }),
    elements,
    logPrior: Math.log(Math.max((prior.values.get(name) ?? elements) / elements, Number.MIN_VALUE)),
  }));
}

/** Of each group that was measured, in the order in which they were begun: what counts of it, and what is due before that. */
export interface TakenGroup {
  readonly group: ProbeGroup;
  readonly measurement: ProbeMeasurement;
  /** The type that it has to be measured in instead. */
  readonly due?: TensorType | undefined;
}

/** What was measured, by groups; `measurements` are of all types, in the order in which they were begun. */
export function takenGroups(design: ProbeDesign, measurements: readonly ProbeMeasurement[]): TakenGroup[] {
  const byName = new Map(design.groups.map((group) => [group.name, group]));
  const firstChunks = Math.min(design.costs.first, design.chunks);
  const taken = new Map<string, TakenGroup>();
  for (const measurement of measurements) {
    const group = byName.get(measurement.group);
    if (group === undefined) continue;
    const isUsual = measurement.type === PROBE_TYPE;
    if (isUsual && taken.has(group.name)) continue;
    const due = isUsual ? typeInstead(measurement, firstChunks) : undefined;
    // a Map keeps the place of the first
    taken.set(group.name, { group, measurement, due });
  }
  return [...taken.values()];
}

/** Chunks that count as decoded. */
export function decodedChunks(taken: readonly TakenGroup[]): number {
  return taken.reduce((sum, { measurement }) => sum + measurement.chunks, 0);
}

/** The fit to what counts; `near`: a fit to most of it, to begin at. */
export function fitTaken(design: ProbeDesign, taken: readonly TakenGroup[], near?: ProbeFit): ProbeFit {
  const known = taken.filter(({ due }) => due === undefined);
  const readings = pairProbes(known.map(({ measurement: { perChunk = [] } }) => perChunk));
  const observations = known.map(
    ({ group, measurement }, index): ProbeObservation => ({
      parts: weigh(design, group, measurement.type),
      ...(readings[index] as ProbeReading),
    }),
  );
  return fitProbes(design.kernel, observations, near);
}

/** The next step; undefined where the budget is spent or nothing is left to learn. */
export function chooseTask(design: ProbeDesign, taken: readonly TakenGroup[], fit: ProbeFit): ProbeTask | undefined {
  return chooseTasks(design, taken, fit, 1)[0];
}

/**
 * The next `count` steps, all chosen before any is measured: those that are pending are taken for measured, with the mean
 * that the fit expects, so that it knows more and expects the same (kriging believer). A group has one of them at most.
 */
export function chooseTasks(
  design: ProbeDesign,
  taken: readonly TakenGroup[],
  fit: ProbeFit,
  count: number,
): ProbeTask[] {
  const { budget, groups, leading, most, costs, chunks, tensors } = design;
  const first = Math.min(costs.first, chunks);
  const tasks: ProbeTask[] = [];
  const pending = new Set<ProbeGroup>();
  let decoded = decodedChunks(taken);
  let believed = fit;
  const begun = new Set(taken.map(({ group }) => group));
  const add = (group: ProbeGroup, type: TensorType, from: number, end: number) => {
    tasks.push({ group: group.name, tensors: namesOf(design, group), type, first: from, end });
    pending.add(group);
    if (tasks.length < count) believed = believe(believed, weigh(design, group, type), stepNoise(group, from, end));
  };
  for (const { group, measurement, due } of taken) {
    if (due !== undefined && tasks.length < count) add(group, due, 0, measurement.chunks);
  }
  while (tasks.length < count && decoded < budget.chunks) {
    const lead = leading.find((group) => !begun.has(group));
    const untaken = begun.size < most ? groups.filter((group) => !begun.has(group)) : [];
    const again = taken.filter(({ group }) => !pending.has(group));
    const known = again.map(({ group, measurement }) => ({
      group,
      parts: weigh(design, group, measurement.type),
      chunks: measurement.chunks,
    }));
    const choice = { untaken, taken: known, chunks, costs, partsOf: (group: ProbeGroup) => weigh(design, group) };
    const step = lead === undefined ? nextStep(choice, tensors, believed) : { group: lead, chunks: first };
    if (step === undefined) break;
    const before = again.find(({ group }) => group === step.group)?.measurement;
    add(step.group, before?.type ?? PROBE_TYPE, before?.chunks ?? 0, step.chunks);
    begun.add(step.group);
    decoded += step.chunks - (before?.chunks ?? 0);
  }
  return tasks;
}

function namesOf({ eligible }: ProbeDesign, { tensors }: ProbeGroup): string[] {
  return membersOf(eligible, tensors).map(({ name }) => name);
}

function membersOf(eligible: readonly TensorAnalysis[], indices: readonly number[]): TensorAnalysis[] {
  return indices.map((index) => eligible[index] as TensorAnalysis);
}

/** elements·D of each tensor as a probe degrades it. */
function weigh({ eligible }: ProbeDesign, { tensors: members }: ProbeGroup, type?: TensorType): ProbePart[] {
  return probeParts(membersOf(eligible, members), type).map(({ tensor, distortion }, i) => ({
    tensor: members[i] as number,
    weight: tensor.elements * distortion,
  }));
}
