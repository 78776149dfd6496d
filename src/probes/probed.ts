/** What is known of a model after some probes. */
import type { Analysis } from "../analyze/analysis.ts";
import type { Plan } from "../plan/plan.ts";
import { present } from "../present.ts";
import { headIsProbed } from "../sensitivity/head-known.ts";
import { fromDensity, type Sensitivity } from "../sensitivity/sensitivity.ts";
import type { ProbeFit } from "./probe-fit.ts";
import type { ProbedTensor } from "./probe-kernel.ts";
import type { ProbeMeasurement } from "./probe-store.ts";
import { deviationsFromLevel, expectedRegret } from "./regret.ts";

export interface TensorDensity {
  readonly name: string;
  readonly class: string;
  readonly layer?: number;
  /** Nats per weight and unit of D. */
  readonly density: number;
  /** Standard deviation of its natural logarithm, the level of all densities left out. */
  readonly sd: number;
  /** Whether it was probed alone. */
  readonly alone: boolean;
}

export interface Probed {
  readonly measurements: readonly ProbeMeasurement[];
  readonly sensitivity: Sensitivity;
  /** Chunks that these took. */
  readonly decoded: number;
  /** Whether the head was degraded alone, and enough else to know how it stands to the rest. */
  readonly headProbed: boolean;
  readonly densities: readonly TensorDensity[];
  /** Part of this plan's loss that is expected to be saved if every density were known. */
  regretOf(plan: Pick<Plan, "tensors">): number;
}

/** The fit to these measurements, with what follows from it. */
export function describeProbed(
  analysis: Analysis,
  tensors: readonly ProbedTensor[],
  fit: ProbeFit,
  measurements: readonly ProbeMeasurement[],
  lossUnit: Sensitivity["lossUnit"] = "nats",
): Probed {
  const alone = new Set(measurements.flatMap(({ tensors: names }) => (names.length === 1 ? names : [])));
  const headProbed = headIsProbed(analysis, measurements);
  const densityAt = (index: number) => Math.exp(fit.logDensity[index] as number);
  const regretOf: Probed["regretOf"] = ({ tensors: planned }) => {
    const types = new Map(planned.map(({ name, type }) => [name, type]));
    const distortions = new Map(analysis.tensors.map(({ name, distortion }) => [name, distortion]));
    const losses = tensors.map(({ name, elements }, index) => {
      const type = types.get(name);
      return elements * ((type && distortions.get(name)?.[type]?.value) ?? 0) * densityAt(index);
    });
    return expectedRegret(losses, fit);
  };
  return {
    measurements,
    sensitivity: { ...sensitivityOf(analysis, tensors, fit, measurements.length, headProbed), lossUnit },
    decoded: measurements.reduce((sum, { chunks }) => sum + chunks, 0),
    headProbed,
    get densities() {
      const deviations = deviationsFromLevel(
        tensors.map(({ elements }) => elements),
        fit,
      );
      return tensors.map(({ name, class: tensorClass, layer }, index) => ({
        name,
        class: tensorClass,
        ...present({ layer }),
        density: densityAt(index),
        sd: deviations[index] as number,
        alone: alone.has(name),
      }));
    },
    regretOf,
  };
}

function sensitivityOf(
  analysis: Analysis,
  tensors: readonly ProbedTensor[],
  fit: ProbeFit,
  probes: number,
  headKnown: boolean,
): Sensitivity {
  const densities = new Map(tensors.map(({ name }, index) => [name, Math.exp(fit.logDensity[index] as number)]));
  return {
    mode: "probes",
    version: `${probes} probes`,
    lossUnit: "nats",
    values: fromDensity(analysis, ({ name }) => densities.get(name) ?? 1),
    ...(headKnown ? { headKnown } : {}),
  };
}
