/** A model → what its header says, the exact size of every preset, and what is wrong with it. */
import { type Desk, noteTraffic, openNamedModel } from "../intake/open-named-model.ts";
import { requireClean } from "../preflight/clean.ts";
import { examineModel } from "../preflight/examine-model.ts";
import { inspect } from "../preflight/inspect.ts";
import type { Inspection } from "../preflight/inspection.ts";
import { planRepair } from "../repair/repair.ts";

export interface InspectRequest {
  /** Look at every weight, not at a sample; of a remote model that is a download. */
  readonly deep?: boolean | undefined;
}

export interface InspectedModel extends Inspection {
  /** Whether `repair` finds something to do. */
  readonly repairable: boolean;
}

/** Inspect. Throws FileError and FormatError for a model that can't be opened (openingFinding tells which finding it is). */
export async function inspectModel(
  path: string,
  { deep = false }: InspectRequest,
  desk: Desk,
): Promise<InspectedModel> {
  const named = await openNamedModel(path, desk);
  const { model } = named;
  const { signal, progress } = desk;
  const steps = (done: number, total: number, name: string) => progress.steps("reading", done, total, name);
  const findings = await examineModel(model, { deep, signal, onProgress: deep ? steps : undefined }).finally(() =>
    model.close(),
  );
  noteTraffic(named, desk);
  return { ...inspect(model.model, findings), repairable: planRepair(model.model).changes.length > 0 };
}

/** Throws GateError where there are errors or warnings among the findings. */
export function requireCleanInspection({ path, findings }: Inspection): void {
  requireClean(path, findings);
}
