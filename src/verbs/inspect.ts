/** A model → what its header says, the exact size of every preset, and what is wrong with it. */
import type { Library } from "../engine/engine.ts";
import type { Model, OpenModel } from "../gguf/model.ts";
import { refusalOf, whyNotAnswered, whyNotAsked } from "../intake/engine-findings.ts";
import { type Desk, noteTraffic, openNamedModel } from "../intake/open-named-model.ts";
import { longestContext } from "../intake/vram-budget.ts";
import { requireClean } from "../preflight/clean.ts";
import { examineModel } from "../preflight/examine-model.ts";
import type { Finding } from "../preflight/finding-codes.ts";
import { inspect } from "../preflight/inspect.ts";
import type { EngineOpinion, InspectedMemory, Inspection } from "../preflight/inspection.ts";
import { present } from "../present.ts";
import { planRepair } from "../repair/repair.ts";
import { projectorOf } from "./fit-vram.ts";
import { type MemoryRequest, memoryQuestionOf } from "./vram-request.ts";

export interface InspectRequest extends MemoryRequest {
  /** Look at every weight, not at a sample; of a remote model that is a download. */
  readonly deep?: boolean | undefined;
}

/** `examiner`: who asks llama.cpp, or why nobody does. */
export interface InspectDesk extends Desk {
  readonly examiner: (Pick<Library, "tryLoad"> & { readonly version: string }) | string;
}

export interface InspectedModel extends Inspection {
  /** Whether `repair` finds something to do. */
  readonly repairable: boolean;
}

/** Inspect. Throws FileError and FormatError for a model that can't be opened (openingFinding tells which finding it is). */
export async function inspectModel(
  path: string,
  { deep = false, ...memory }: InspectRequest,
  desk: InspectDesk,
): Promise<InspectedModel> {
  const asked = memoryQuestionOf(memory);
  const projectorBytes = memory.mmproj === undefined ? undefined : await projectorOf(memory.mmproj, async () => desk);
  const named = await openNamedModel(path, desk);
  const { model } = named;
  const { signal, progress, examiner } = desk;
  const steps = (done: number, total: number, name: string) => progress.steps("reading", done, total, name);
  const findings = await examineModel(model, { deep, signal, onProgress: deep ? steps : undefined }).finally(() =>
    model.close(),
  );
  const engine = await secondOpinion(model.model, findings, examiner, signal);
  noteTraffic(named, desk);
  const mends = planRepair(model.model).changes.length > 0;
  const inspection = inspect(model.model, [...findings, ...engine.findings], {
    mends,
    engine: engine.opinion,
    question: { ...asked, projectorBytes },
  });
  if (
    inspection.memory === undefined &&
    Object.values({ ...asked, projectorBytes }).some((given) => given !== undefined)
  ) {
    progress.note("! what it takes of memory can't be told from its header: see the findings");
  }
  return { ...inspection, ...present({ memory: withLongest(model, inspection) }), repairable: mends };
}

/** With the longest context that fits the memory that was given. */
function withLongest(model: OpenModel, { memory, findings }: Inspection): InspectedMemory | undefined {
  if (memory?.vramBytes === undefined) return memory;
  const { vramBytes, projectorBytes, contexts, kvTypes, sequences } = memory;
  const longest = longestContext(model, {
    vramBytes,
    projectorBytes,
    contexts: contexts.map(({ context }) => context),
    kv: kvTypes,
    parallel: sequences,
    asIs: findings.some(({ code, severity }) => code === "already-quantized" && severity === "error"),
  });
  return { ...memory, ...present({ longestContext: longest }) };
}

async function secondOpinion(
  model: Model,
  found: readonly Finding[],
  examiner: InspectDesk["examiner"],
  signal: AbortSignal,
): Promise<{ readonly opinion: EngineOpinion; readonly findings: readonly Finding[] }> {
  const why = typeof examiner === "string" ? examiner : whyNotAsked(model, found);
  if (typeof examiner === "string" || why !== undefined) {
    return { opinion: { verdict: "not asked", ...present({ why }) }, findings: [] };
  }
  try {
    const findings = await refusalOf(model, examiner, { version: examiner.version, threads: 1, signal });
    return { opinion: { verdict: findings.length === 0 ? "loads" : "refuses" }, findings };
  } catch (error) {
    return { opinion: { verdict: "not asked", why: whyNotAnswered(error, signal) }, findings: [] };
  }
}

/** Throws GateError where there are errors or warnings among the findings. */
export function requireCleanInspection({ path, findings }: Inspection): void {
  requireClean(path, findings);
}
