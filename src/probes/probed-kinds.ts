/** What probes say of each kind of tensor of a model, as a prior takes it (sensitivity/grow-prior.ts). */
import type { Analysis, TensorAnalysis } from "../analyze/analysis.ts";
import { tensorRole } from "../ggml/tensor-class.ts";
import type { ProbeMeasurement } from "../sensitivity/density-document.ts";
import type { MeasuredKind } from "../sensitivity/measured-model.ts";
import { classKind, type PriorKind, priorKind } from "../sensitivity/prior-kind.ts";
import { importanceScale } from "../sensitivity/sensitivity.ts";
import { probeParts } from "./probe-group.ts";

/** A KL divergence under so many standard errors says only that it is small. */
const SEEN_STANDARD_ERRORS = 2;

/** Tensors that were degraded, together or one by one. */
interface Measured {
  readonly kind: PriorKind;
  readonly members: readonly TensorAnalysis[];
  readonly probes: readonly ProbeMeasurement[];
}

/** The kinds of which every tensor was probed: a class whole, or each of its tensors alone. */
export function probedKinds(analysis: Analysis, probes: readonly ProbeMeasurement[]): MeasuredKind[] {
  const { facts, tensors } = analysis;
  const classes = new Map<string, TensorAnalysis[]>();
  for (const tensor of tensors) {
    if (!tensor.eligible || tensorRole(tensor.name, facts) === "mtp") continue;
    classes.set(tensor.class, [...(classes.get(tensor.class) ?? []), tensor]);
  }
  return [...classes.values()].flatMap((members) =>
    measuredOf(members, probes, facts).flatMap((measured) => kindOf(measured) ?? []),
  );
}

/** Of a class: by place where its tensors were probed alone. */
function measuredOf(
  members: readonly TensorAnalysis[],
  probes: readonly ProbeMeasurement[],
  facts: Analysis["facts"],
): Measured[] {
  const alone = new Map(
    probes.flatMap((probe) => (probe.tensors.length === 1 ? [[probe.tensors[0], probe] as const] : [])),
  );
  if (members.every(({ name }) => alone.has(name))) {
    const kinds = new Map<string, TensorAnalysis[]>();
    for (const tensor of members) {
      const { name } = priorKind(tensor, facts);
      kinds.set(name, [...(kinds.get(name) ?? []), tensor]);
    }
    return [...kinds.values()].map((own) => ({
      kind: priorKind(own[0] as TensorAnalysis, facts),
      members: own,
      probes: own.flatMap(({ name }) => alone.get(name) ?? []),
    }));
  }
  const names = new Set(members.map(({ name }) => name));
  const whole = probes.find(({ tensors }) => tensors.length === names.size && tensors.every((name) => names.has(name)));
  if (whole === undefined) return [];
  return [{ kind: classKind(members[0] as TensorAnalysis, facts), members, probes: [whole] }];
}

function kindOf({ kind, members, probes }: Measured): MeasuredKind | undefined {
  const kld = probes.reduce((sum, probe) => sum + probe.kld, 0);
  const se = Math.hypot(...probes.map((probe) => probe.se));
  if (!(kld > SEEN_STANDARD_ERRORS * se)) return undefined;
  const elements = members.reduce((sum, tensor) => sum + tensor.elements, 0);
  // on the scale of distortions that no importance matrix weighs
  const damage = probes
    .flatMap((probe) => probeParts(probe.tensors.length === 1 ? membersOf(probe, members) : members, probe.type))
    .reduce((sum, { tensor, distortion }) => sum + tensor.elements * distortion * importanceScale(tensor), 0);
  if (damage === 0) return undefined;
  return {
    ...kind,
    lnDensity: Math.log(kld / damage),
    error: se / kld,
    elements: Math.round(elements / members.length),
    tensors: members.length,
  };
}

function membersOf({ tensors }: ProbeMeasurement, members: readonly TensorAnalysis[]): TensorAnalysis[] {
  return members.filter(({ name }) => tensors.includes(name));
}
