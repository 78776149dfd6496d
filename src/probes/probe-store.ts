/**
 * Probes that were measured: kept in one JSON file per model, text, engine and imatrix, written after each, so that an
 * interrupted run goes on and every budget uses the same ones.
 */
import { join } from "node:path";
import type { Bench } from "../bench.ts";
import { cacheKey } from "../disk/cache-key.ts";
import { readSealed, writeSealed } from "../disk/sealed-file.ts";
import { defineDocument } from "../documents/document-kind.ts";
import * as t from "../documents/fields.ts";
import { readDocument } from "../documents/read-document.ts";
import { FormatError } from "../errors.ts";
import { gpuKey } from "../evaluate/gpu-layers.ts";
import { hashIds } from "../evaluate/text.ts";
import type { TensorType } from "../ggml/tensor-types.ts";
import { PROBE_MEASUREMENT, type ProbeMeasurement } from "../sensitivity/density-document.ts";
import type { ProbeSite } from "./probe-site.ts";

export type { ProbeMeasurement };

/** What it keeps: `prism.probes/1`. */
export const PROBES = defineDocument({
  id: "prism.probes/1",
  noun: "a store of probes",
  remedy: "delete it",
  description: "Probes of one model, text, engine and imatrix, kept so that every budget uses the same ones.",
  schema: t.object({ schema: t.exactly("prism.probes/1"), probes: t.list(PROBE_MEASUREMENT) }),
});

export interface ProbeStore {
  find(tensors: readonly string[], type: TensorType): ProbeMeasurement | undefined;
  add(measurement: ProbeMeasurement): Promise<void>;
}

/** Everything a measurement depends on. */
export function probeKey(
  bench: Pick<Bench, "engine" | "gpuLayers">,
  { kind, text }: Pick<ProbeSite, "kind" | "text">,
  identity: string,
  imatrixHash: string | undefined,
): string {
  const { version, devices } = bench.engine.info;
  const { context, ids } = text.probes;
  return cacheKey([
    PROBES.id,
    identity,
    version,
    devices.join(),
    ...gpuKey(bench),
    kind,
    imatrixHash ?? "none",
    context,
    hashIds(ids),
  ]);
}

/** Read what `folder` holds under `key`; a file that is damaged counts as none, and is said. */
export async function openProbeStore(
  folder: string,
  key: string,
  { progress }: Pick<Bench, "progress">,
): Promise<ProbeStore> {
  const path = join(folder, `${key}.json`);
  const text = await readSealed(path, progress.note);
  const found = text === undefined ? [] : parseProbes(text.toString("utf8"), path);
  const measured = new Map(found.map((probe) => [probeName(probe.tensors, probe.type), probe]));
  return {
    find: (tensors, type) => measured.get(probeName(tensors, type)),
    async add(measurement) {
      measured.set(probeName(measurement.tensors, measurement.type), measurement);
      await writeSealed(path, `${JSON.stringify({ schema: PROBES.id, probes: [...measured.values()] })}\n`);
    },
  };
}

function probeName(tensors: readonly string[], type: TensorType): string {
  return `${type} ${tensors.join(" ")}`;
}

/** None from a file that is damaged: they are measured again. */
function parseProbes(text: string, path: string): readonly ProbeMeasurement[] {
  try {
    return readDocument(text, path, PROBES).probes;
  } catch (error) {
    if (error instanceof FormatError) return [];
    throw error;
  }
}
