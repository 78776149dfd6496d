/**
 * The probes of a model: chosen one after another from what the earlier ones left open, measured or taken from the
 * store, and fitted to densities with the prior as regulariser.
 */
import type { Analysis } from "../analyze/analysis.ts";
import type { Bench } from "../bench.ts";
import type { ProbeMeasurement } from "../sensitivity/density-document.ts";
import type { Sensitivity } from "../sensitivity/sensitivity.ts";
import { measureStored, withMeasurement } from "./measure-task.ts";
import {
  chooseTask,
  decodedChunks,
  designProbes,
  fitTaken,
  isSeen,
  type ProbeBudget,
  type ProbeDesign,
  type TakenGroup,
  takenGroups,
} from "./probe-choice.ts";
import type { ProbeFit } from "./probe-fit.ts";
import type { ProbeSite } from "./probe-site.ts";
import type { ProbeStore } from "./probe-store.ts";
import { describeProbed, type Probed } from "./probed.ts";
import { expectedRegret } from "./regret.ts";

export interface ProbeRequest {
  readonly site: ProbeSite;
  readonly store: ProbeStore;
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
  const { analysis, budget, site } = request;
  const design = designProbes({ ...request, costs: site.costs, chunks: site.text.probes.chunks });
  let measurements: readonly ProbeMeasurement[] = [];
  let fit: ProbeFit | undefined;
  for (;;) {
    signal.throwIfAborted();
    const taken = takenGroups(design, measurements);
    const decoded = decodedChunks(taken);
    // a group that is due in another type says nothing yet
    const isDue = taken.some(({ due }) => due !== undefined);
    if (fit === undefined || !isDue) fit = fitTaken(design, taken, fit);
    const regret = regretOf(design, fit);
    const isLate = taken.length > 0 && request.isLate?.() === true;
    const isEnough = !isDue && (isLate || regret < (budget.regret ?? 0));
    const task = isEnough ? undefined : chooseTask(design, taken, fit);
    const ahead = task && `${task.group}; knowing all would save ${(100 * regret).toPrecision(2)} % of the loss`;
    progress.steps("probing", Math.min(decoded, budget.chunks), budget.chunks, ahead);
    const probed = describeTaken(design, taken, fit, site.unit);
    if (task === undefined) return probed;
    if (taken.length > 0 && !isDue) await request.onProbe?.(probed);
    measurements = withMeasurement(measurements, await measureStored(request, analysis, task, signal));
  }
}

/** What is expected to be saved if all densities were known: at the optimum the loss of a tensor goes with its elements. */
export function regretOf({ tensors }: ProbeDesign, fit: ProbeFit): number {
  return expectedRegret(
    tensors.map(({ elements }) => elements),
    fit,
  );
}

/** What is known after these measurements. */
export function describeTaken(
  { analysis, tensors }: ProbeDesign,
  taken: readonly TakenGroup[],
  fit: ProbeFit,
  unit: Sensitivity["lossUnit"],
): Probed {
  const counting = taken.filter(({ due }) => due === undefined).map(({ measurement }) => measurement);
  return describeProbed(analysis, tensors, fit, counting, unit);
}

/** How many probes there could be at most: every tensor alone. */
export function probeableTensors(analysis: Analysis): number {
  return analysis.tensors.filter((tensor) => tensor.eligible && isSeen(analysis, tensor)).length;
}
