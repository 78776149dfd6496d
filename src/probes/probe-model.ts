/**
 * The probes of a model: chosen one after another from what the earlier ones left open, measured or taken from the
 * store, and fitted to densities with the prior as regulariser.
 */
import type { Analysis, TensorAnalysis } from "../analyze/analysis.ts";
import type { Bench } from "../bench.ts";
import { isHead, tensorRole } from "../ggml/tensor-class.ts";
import { fromDensity, type Sensitivity } from "../sensitivity/sensitivity.ts";
import { firstGroups, nextGroup, type ProbeGroup, probeGroups } from "./probe-design.ts";
import { fitProbes, type ProbedTensor, type ProbeFit, type ProbeObservation } from "./probe-fit.ts";
import { measureGroup, type ProbePlace, probeParts } from "./probe-group.ts";
import type { ProbeMeasurement } from "./probe-store.ts";

export interface ProbeRequest extends ProbePlace {
  readonly analysis: Analysis;
  /** Regularises the fit, and stands in where nothing was probed. */
  readonly prior: Sensitivity;
  /** So many probes; as many as there are tensors: every tensor alone. */
  readonly count: number;
}

export interface Probed {
  readonly measurements: readonly ProbeMeasurement[];
  readonly sensitivity: Sensitivity;
  /** Whether the head was degraded alone. */
  readonly headProbed: boolean;
}

/** Probe and fit. */
export async function probeModel(
  request: ProbeRequest,
  { signal, progress }: Pick<Bench, "signal" | "progress">,
): Promise<Probed> {
  const { analysis } = request;
  const eligible = analysis.tensors.filter((tensor) => tensor.eligible);
  const tensors = describeTensors(analysis, eligible, request.prior);
  const choose = chooser(request, eligible, tensors);
  const measurements: ProbeMeasurement[] = [];
  const observations: ProbeObservation[] = [];
  for (;;) {
    signal.throwIfAborted();
    const group = measurements.length < choose.total ? choose.next(observations) : undefined;
    progress.steps("probing", measurements.length, choose.total, group?.name);
    if (group === undefined) break;
    const members = group.tensors.map((index) => eligible[index] as TensorAnalysis);
    const measurement = await measureGroup(request, group.name, members, signal);
    measurements.push(measurement);
    observations.push(observe(measurement, group.tensors, eligible));
  }
  const fit = fitProbes(tensors, observations);
  const head = analysis.tensors.find(({ name }) => isHead(name, analysis.facts))?.name ?? "";
  const headProbed = measurements.some(({ tensors: names }) => names.length === 1 && names[0] === head);
  return {
    measurements,
    sensitivity: sensitivityOf(analysis, tensors, fit, measurements.length, headProbed),
    headProbed,
  };
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

/** In what order groups are probed. */
function chooser(
  { analysis, count }: ProbeRequest,
  eligible: readonly TensorAnalysis[],
  tensors: readonly ProbedTensor[],
) {
  const seen = tensors.map((_, index) => isSeen(analysis, eligible[index] as TensorAnalysis));
  const groups = probeGroups(tensors).flatMap((group): ProbeGroup[] => {
    const members = group.tensors.filter((index) => seen[index]);
    return members.length === 0 ? [] : [{ ...group, tensors: members }];
  });
  const singles = groups.filter((group) => group.tensors.length === 1);
  const exhaustive = count >= singles.length;
  const alone = tensors
    .map(({ name }) => name)
    .filter((name) => name === "token_embd.weight" || isHead(name, analysis.facts));
  const first = exhaustive ? [...singles] : firstGroups(groups, tensors, alone);
  const left = new Set(groups);
  return {
    total: exhaustive ? singles.length : Math.min(count, groups.length),
    next(observations: readonly ProbeObservation[]): ProbeGroup | undefined {
      const group =
        first.shift() ??
        nextGroup([...left], tensors, fitProbes(tensors, observations), ({ tensors: members }) =>
          weigh(members, eligible),
        );
      if (group !== undefined) left.delete(group);
      return group;
    },
  };
}

function observe(
  { kld, se, type }: ProbeMeasurement,
  members: readonly number[],
  eligible: readonly TensorAnalysis[],
): ProbeObservation {
  return { parts: weigh(members, eligible, type), kld, se };
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

function sensitivityOf(
  analysis: Analysis,
  tensors: readonly ProbedTensor[],
  fit: ProbeFit,
  probes: number,
  headMeasured: boolean,
): Sensitivity {
  const densities = new Map(tensors.map(({ name }, index) => [name, Math.exp(fit.logDensity[index] as number)]));
  return {
    mode: "probes",
    version: `${probes} probes`,
    lossUnit: "nats",
    values: fromDensity(analysis, ({ name }) => densities.get(name) ?? 1),
    ...(headMeasured ? { headMeasured } : {}),
  };
}
