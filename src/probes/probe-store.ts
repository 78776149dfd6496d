/**
 * Probes that were measured: kept in one JSON file per model, text, engine and imatrix, written after each, so that an
 * interrupted run goes on and every budget uses the same ones.
 */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type { Bench } from "../bench.ts";
import { writeFileAside } from "../disk/aside-file.ts";
import { cacheKey } from "../evaluate/cache.ts";
import { hashIds } from "../evaluate/text.ts";
import type { TensorType } from "../ggml/tensor-types.ts";
import type { ProbeSite } from "./probe-site.ts";

export const PROBES_SCHEMA = "prism.probes/1";

/** The KL divergence that degrading some tensors, and nothing else, gives. */
export interface ProbeMeasurement {
  readonly group: string;
  readonly tensors: readonly string[];
  /** The type of each of these tensors, or of most where their rows don't fit it. */
  readonly type: TensorType;
  /** Nats. */
  readonly kld: number;
  readonly se: number;
  readonly chunks: number;
}

export interface ProbeStore {
  find(tensors: readonly string[], type: TensorType): ProbeMeasurement | undefined;
  add(measurement: ProbeMeasurement): Promise<void>;
}

/** Everything a measurement depends on. */
export function probeKey(
  { engine }: Pick<Bench, "engine">,
  { kind, text }: Pick<ProbeSite, "kind" | "text">,
  fingerprint: string,
  imatrixHash: string | undefined,
): string {
  const { version, devices } = engine.info;
  const { context, ids } = text.probes;
  return cacheKey([
    PROBES_SCHEMA,
    fingerprint,
    version,
    devices.join(),
    kind,
    imatrixHash ?? "none",
    context,
    hashIds(ids),
  ]);
}

/** Read what `folder` holds under `key`; a file that can't be read counts as none. */
export async function openProbeStore(folder: string, key: string): Promise<ProbeStore> {
  const path = join(folder, `${key}.json`);
  const found = parseProbes(await readFile(path, "utf8").catch(() => ""));
  const measured = new Map(found.map((probe) => [probeName(probe.tensors, probe.type), probe]));
  return {
    find: (tensors, type) => measured.get(probeName(tensors, type)),
    async add(measurement) {
      measured.set(probeName(measurement.tensors, measurement.type), measurement);
      await writeFileAside(path, `${JSON.stringify({ schema: PROBES_SCHEMA, probes: [...measured.values()] })}\n`);
    },
  };
}

function probeName(tensors: readonly string[], type: TensorType): string {
  return `${type} ${tensors.join(" ")}`;
}

function parseProbes(text: string): ProbeMeasurement[] {
  let document: unknown;
  try {
    document = JSON.parse(text);
  } catch {
    return [];
  }
  const { schema, probes } = (typeof document === "object" && document !== null ? document : {}) as {
    schema?: unknown;
    probes?: unknown;
  };
  return schema === PROBES_SCHEMA && Array.isArray(probes) ? probes.filter(isMeasurement) : [];
}

function isMeasurement(value: unknown): value is ProbeMeasurement {
  const { group, tensors, type, kld, se, chunks } = (value ?? {}) as Partial<ProbeMeasurement>;
  return (
    typeof group === "string" &&
    Array.isArray(tensors) &&
    tensors.every((name) => typeof name === "string") &&
    typeof type === "string" &&
    [kld, se, chunks].every(Number.isFinite)
  );
}
