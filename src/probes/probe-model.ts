/**
 * The probes of a model: chosen one after another from what the earlier ones left open, measured or taken from the
 * store, and fitted to densities with the prior as regulariser.
 */
import type { Analysis, TensorAnalysis } from "../analyze/analysis.ts";
import type { Bench } from "../bench.ts";
import { isHead, tensorRole } from "../ggml/tensor-class.ts";
import type { Sensitivity } from "../sensitivity/sensitivity.ts";
import { type ProbeReading, pairProbes } from "./pair-probes.ts";
import { nextStep, type ProbeGroup, type ProbeStep, probeGroups } from "./probe-design.ts";
import { fitProbes, type ProbeFit, type ProbeObservation } from "./probe-fit.ts";
import { measureGroup, measureIn, type ProbePlace, probeParts } from "./probe-group.ts";
import { type ProbedTensor, probeKernel } from "./probe-kernel.ts";
import type { ProbeMeasurement } from "./probe-store.ts";
import { describeProbed, type Probed } from "./probed.ts";
import { expectedRegret } from "./regret.ts";

export interface ProbeBudget {
  /** Groups to probe at most; as many as there are tensors: every tensor alone. */
  readonly probes?: number | undefined;
  /** Chunks to decode for all of them. */
  readonly chunks: number;
  /** No more where better knowledge would save no more than this part of the loss. */
  readonly regret?: number | undefined;
}

export interface ProbeRequest extends ProbePlace {
  readonly analysis: Analysis;
  /** Regularises the fit, and stands in where nothing was probed. */
  readonly prior: Sensitivity;
  readonly budget: ProbeBudget;
  /** Whether what was measured has to do: asked after each probe. */
  readonly isLate?: (() => boolean) | undefined;
  /** Told what is known so far after each probe. */
  readonly onProbe?: ((probed: Probed) => Promise<void>) | undefined;
}

/** Probe and fit. */
export async function probeModel(
  request: ProbeRequest,
  { signal, progress }: Pick<Bench, "signal" | "progress">,
): Promise<Probed> {
  const { analysis, budget } = request;
  const eligible = analysis.tensors.filter((tensor) => tensor.eligible);
  const tensors = describeTensors(analysis, eligible, request.prior);
  const choose = chooser(request, eligible, tensors);
  const elements = tensors.map((tensor) => tensor.elements);
  const taken = new Map<ProbeGroup, ProbeMeasurement>();
  const kernel = probeKernel(tensors);
  let fit: ProbeFit | undefined;
  for (;;) {
    signal.throwIfAborted();
    const decoded = [...taken.values()].reduce((sum, { chunks }) => sum + chunks, 0);
    fit = fitProbes(kernel, observe(taken, eligible), fit);
    // at the optimum the loss of a tensor goes with its elements
    const regret = expectedRegret(elements, fit);
    const isLate = taken.size > 0 && request.isLate?.() === true;
    const isEnough = isLate || decoded >= budget.chunks || regret < (budget.regret ?? 0);
    const step = isEnough ? undefined : choose(taken, fit);
    const ahead = step && `${step.group.name}; knowing all would save ${(100 * regret).toPrecision(2)} % of the loss`;
    progress.steps("probing", Math.min(decoded, budget.chunks), budget.chunks, ahead);
    const probed = describeProbed(analysis, tensors, fit, [...taken.values()], request.site.unit);
    if (step === undefined) return probed;
    if (taken.size > 0) await request.onProbe?.(probed);
    const { group, chunks } = step;
    const members = group.tensors.map((index) => eligible[index] as TensorAnalysis);
    const probe = { name: group.name, members };
    const type = taken.get(group)?.type;
    const measurement =
      type === undefined
        ? await measureGroup(request, probe, chunks, signal)
        : await measureIn(request, probe, type, chunks, signal);
    taken.set(group, measurement);
  }
}

/** How many probes there could be at most: every tensor alone. */
export function probeableTensors(analysis: Analysis): number {
  return analysis.tensors.filter((tensor) => tensor.eligible && isSeen(analysis, tensor)).length;
}

/** Whether an evaluation sees the tensor's damage and there is some to see. */
function isSeen({ facts }: Analysis, tensor: TensorAnalysis): boolean {
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

/** In what order groups are probed: the head and the embedding alone, then what is worth most. */
function chooser(
  { analysis, budget, site }: ProbeRequest,
  eligible: readonly TensorAnalysis[],
  tensors: readonly ProbedTensor[],
): (taken: ReadonlyMap<ProbeGroup, ProbeMeasurement>, fit: ProbeFit) => ProbeStep | undefined {
  const seen = tensors.map((_, index) => isSeen(analysis, eligible[index] as TensorAnalysis));
  const groups = probeGroups(tensors).flatMap((group): ProbeGroup[] => {
    const members = group.tensors.filter((index) => seen[index]);
    return members.length === 0 ? [] : [{ ...group, tensors: members }];
  });
  const singles = groups.filter((group) => group.tensors.length === 1);
  const most = budget.probes ?? groups.length;
  const exhaustive = budget.probes !== undefined && most >= singles.length;
  const isAlone = (name: string) => name === "token_embd.weight" || isHead(name, analysis.facts);
  const first = exhaustive ? singles : groups.filter(({ name }) => isAlone(name));
  const { costs } = site;
  const { chunks } = site.text.probes;
  return (taken, fit) => {
    const group = first.find((one) => !taken.has(one));
    if (group !== undefined) return { group, chunks: Math.min(costs.first, chunks) };
    const untaken = taken.size < most ? groups.filter((one) => !taken.has(one)) : [];
    return nextStep(
      {
        untaken,
        taken: [...taken].map(([own, probe]) => ({
          group: own,
          parts: weigh(own.tensors, eligible, probe.type),
          chunks: probe.chunks,
        })),
        chunks,
        costs,
        partsOf: ({ tensors: members }) => weigh(members, eligible),
      },
      tensors,
      fit,
    );
  };
}

function observe(
  taken: ReadonlyMap<ProbeGroup, ProbeMeasurement>,
  eligible: readonly TensorAnalysis[],
): ProbeObservation[] {
  const readings = pairProbes([...taken.values()].map(({ perChunk = [] }) => perChunk));
  return [...taken].map(([group, { type }], index) => ({
    parts: weigh(group.tensors, eligible, type),
    ...(readings[index] as ProbeReading),
  }));
}

/** elements·D of each tensor as a probe degrades it. */
function weigh(members: readonly number[], eligible: readonly TensorAnalysis[], type?: ProbeMeasurement["type"]) {
  const parts = probeParts(
    members.map((index) => eligible[index] as TensorAnalysis),
    type,
  );
  return parts.map(({ tensor, distortion }, i) => ({
    tensor: members[i] as number,
    weight: tensor.elements * distortion,
  }));
}
