/**
 * What units have made: a file a unit, named by the unit and by its value, written aside and renamed. A unit that was done
 * twice has one file where both values are equal, and two where they are not: then no value is believed.
 */
import { createHash } from "node:crypto";
import { readdir, rm } from "node:fs/promises";
import { hostname } from "node:os";
import { join } from "node:path";
import type { TSchema } from "@sinclair/typebox";
import { readSealed, writeSealed } from "../disk/sealed-file.ts";
import { findViolation } from "../documents/violation.ts";
import { FormatError, PrismError } from "../errors.ts";
import type { CampaignUnit } from "./campaign-document.ts";

export interface Part<Value = unknown> {
  readonly unit: string;
  readonly host: string;
  /** That it took, and threads it had. */
  readonly seconds: number;
  readonly threads: number;
  readonly value: Value;
}

const NAME = /^([0-9a-f]{32})\.([0-9a-f]{32})\.json$/;

export function partsFolder(directory: string): string {
  return join(directory, "parts");
}

/** Write the part of a unit. */
export async function writePart(directory: string, part: Omit<Part, "host">): Promise<void> {
  const name = `${part.unit}.${hashValue(part.value)}.json`;
  await writeSealed(join(partsFolder(directory), name), `${JSON.stringify({ ...part, host: hostname() })}\n`);
}

function hashValue(value: unknown): string {
  return createHash("sha256").update(JSON.stringify(value)).digest("hex").slice(0, 32);
}

/** Which units have parts, by their files: the names alone are read. */
export async function finishedUnits(directory: string): Promise<ReadonlyMap<string, readonly string[]>> {
  const found = new Map<string, string[]>();
  for (const file of (await readdir(partsFolder(directory)).catch(() => [])).sort()) {
    const [, unit] = NAME.exec(file) ?? [];
    if (unit !== undefined) found.set(unit, [...(found.get(unit) ?? []), file]);
  }
  return found;
}

/** Of a unit, so that it is done again. */
export async function removeParts(directory: string, unit: string): Promise<void> {
  for (const name of (await finishedUnits(directory)).get(unit) ?? []) {
    await rm(join(partsFolder(directory), name), { force: true });
  }
}

/**
 * The parts of these units, by key; those that are missing or damaged are absent. Throws PrismError (`verification`)
 * where two machines disagree, FormatError for a part that is none.
 */
export async function readParts(
  directory: string,
  units: readonly CampaignUnit[],
  schema: TSchema,
  onDamage: (text: string) => void,
): Promise<ReadonlyMap<string, Part>> {
  const files = await finishedUnits(directory);
  const parts = new Map<string, Part>();
  for (const { key } of units) {
    const found: Part[] = [];
    for (const file of files.get(key) ?? []) {
      const part = await readPart(join(partsFolder(directory), file), key, schema, onDamage);
      if (part !== undefined) found.push(part);
    }
    if (found.length > 1) throw disagreement(directory, key, found);
    if (found[0] !== undefined) parts.set(key, found[0]);
  }
  return parts;
}

async function readPart(
  path: string,
  key: string,
  schema: TSchema,
  onDamage: (text: string) => void,
): Promise<Part | undefined> {
  const text = await readSealed(path, onDamage);
  if (text === undefined) return undefined;
  let part: Part;
  try {
    part = JSON.parse(text.toString("utf8")) as Part;
  } catch {
    throw new FormatError(path, "is no part of a campaign; delete it, and give prism shard run again");
  }
  const { unit, host, seconds, threads, value } = part;
  const isHead = unit === key && typeof host === "string" && Number.isFinite(seconds) && Number.isFinite(threads);
  const violation = isHead ? findViolation(schema, value) : "it is of another unit";
  if (violation === undefined) return part;
  throw new FormatError(
    path,
    `is no part of this campaign (${JSON.stringify(violation)}); delete it, and give prism shard run again`,
  );
}

function disagreement(directory: string, key: string, parts: readonly Part[]): PrismError {
  const hosts = parts.map(({ host }) => host).join(" and ");
  return new PrismError(
    "verification",
    1,
    `${directory}: ${hosts} disagree about unit ${key}: the same work gave two values, so one of these machines computes wrongly or differently. Delete parts/${key}.* and do it again on a machine that is trusted`,
  );
}
