/** The directory of a campaign: made, opened and checked. */
import { copyFile, readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { TSchema } from "@sinclair/typebox";
import type { Bench } from "../bench.ts";
import { openFileSource } from "../bytes/source.ts";
import { fileExists, makeFolder, writeAside, writeFileAside } from "../disk/aside-file.ts";
import { hashFile } from "../disk/file-hash.ts";
import { readDocumentText } from "../documents/document-file.ts";
import type { Content } from "../documents/fields.ts";
import { readDocument } from "../documents/read-document.ts";
import { findViolation } from "../documents/violation.ts";
import { FormatError, UsageError } from "../errors.ts";
import type { OpenModel } from "../gguf/model.ts";
import { present } from "../present.ts";
import { PRISM_VERSION } from "../version.ts";
import { balance } from "./balance.ts";
import {
  CAMPAIGN,
  type Campaign,
  type CampaignInput,
  type CampaignUnit,
  campaignId,
  unitKey,
} from "./campaign-document.ts";
import { openPlaced, placeCandidates, placeSource, requireBelow } from "./campaign-models.ts";
import type { CampaignPlace, PlannedUnit, ShardStage } from "./stage.ts";

export interface CampaignRequest {
  readonly directory: string;
  /** Indexes at most. */
  readonly jobs: number;
  readonly options: unknown;
  /** Files that are copied into the campaign, by what they are to the stage. */
  readonly inputs: Readonly<Record<string, string | MadeInput | undefined>>;
  /** Models that are compared with the source; of stages that have them. */
  readonly candidates?: readonly OpenModel[] | undefined;
}

/** What was made for the campaign of something: its bytes are written there. */
export interface MadeInput {
  readonly content: Uint8Array;
  /** What it was made of, as it is named. */
  readonly path: string;
}

export function campaignFile(directory: string): string {
  return join(directory, "campaign.json");
}

/** Make the directory. Throws UsageError where one stands there. */
export async function createCampaign(
  source: OpenModel,
  stage: ShardStage,
  { directory, jobs, options, inputs, candidates }: CampaignRequest,
  bench: Bench,
): Promise<Campaign> {
  const entries = await readdir(directory).catch(() => []);
  if (entries.length > 0) {
    throw new UsageError(`${directory} holds something already; name a new folder with --dir, or remove it`);
  }
  const inputFiles = Object.values(inputs).filter((given) => typeof given === "string");
  for (const path of inputFiles) await (await openFileSource(path)).close();
  await makeFolder(directory);
  const head = {
    stage: stage.id,
    method: stage.method,
    model: await placeSource(source, directory, bench.signal),
    ...present({ candidates: candidates && (await placeCandidates(candidates, directory, bench.signal)) }),
    how: await howOf(bench),
    inputs: await placeInputs(directory, inputs),
    options,
  };
  const units = stage.units({ source, campaign: { ...head, jobs } });
  const id = campaignId(head, units);
  const first = unitsIn(units, id, jobs);
  const campaign: Campaign = {
    schema: "prism.campaign/1",
    prismVersion: PRISM_VERSION,
    createdAt: new Date().toISOString(),
    id,
    ...head,
    // a later round may have more units than the first
    ...(stage.rounds === undefined ? { jobs: first.jobs } : { jobs, rounds: true as const }),
    units: first.units,
  };
  await makeFolder(join(directory, "parts"));
  // last: a directory with this file is whole
  await writeFileAside(campaignFile(directory), `${JSON.stringify(campaign, null, 1)}\n`);
  return campaign;
}

/** Units with their names, given out to jobs: how many there are. */
export function unitsIn(
  planned: readonly PlannedUnit[],
  id: string,
  jobs: number,
): { readonly units: CampaignUnit[]; readonly jobs: number } {
  const places = balance(
    planned.map(({ cost }) => cost),
    jobs,
  );
  return {
    jobs: (places.at(-1) ?? 0) + 1,
    units: planned.map(({ of, cost }, index) => ({ key: unitKey(id, of), job: places[index] as number, cost, of })),
  };
}

async function placeInputs(directory: string, inputs: CampaignRequest["inputs"]): Promise<CampaignInput[]> {
  const placed: CampaignInput[] = [];
  for (const [name, given] of Object.entries(inputs)) {
    if (given === undefined) continue;
    const file = `inputs/${name}`;
    const path = typeof given === "string" ? given : given.path;
    await writeAside(join(directory, file), (aside) =>
      typeof given === "string" ? copyFile(given, aside) : writeFile(aside, given.content),
    );
    placed.push({ name, file, sha256: await hashFile(join(directory, file)), path });
  }
  return placed;
}

/** What computes here, as far as it decides values. */
export async function howOf({ engine, backend, seed, gpuLayers }: Bench): Promise<Campaign["how"]> {
  const { version, origin, kernels, cpuBuild } = engine.info;
  const { name, description } = await backend();
  return {
    engine: { version, origin },
    ...present({ cpuBuild, kernels }),
    backend: name,
    backendBuild: description.replace(/, \d+ threads?$/, ""),
    arch: process.arch,
    seed,
    gpuLayers,
  };
}

export async function readCampaign(directory: string): Promise<Campaign> {
  const path = campaignFile(directory);
  if (!(await fileExists(path))) {
    throw new UsageError(`${directory} is no campaign: it has no campaign.json; make one with prism shard plan`);
  }
  const campaign = readDocument(await readDocumentText(path), path, CAMPAIGN);
  const { id, jobs, units, prismVersion } = campaign;
  if (prismVersion !== PRISM_VERSION) {
    throw new FormatError(
      path,
      `is of PRISM ${prismVersion}, and this is ${PRISM_VERSION}; use that version everywhere`,
    );
  }
  const isForeign = ({ key, of, job }: CampaignUnit) => key !== unitKey(id, of) || job >= jobs;
  if (campaignId(campaign, units) !== id || units.some(isForeign)) {
    throw new FormatError(path, "was changed after it was made: its id is of other content; make it again");
  }
  requireBelow(campaign, path);
  return campaign;
}

/** Open the campaign and its model on this machine; the caller closes the model. Throws FormatError for another model. */
export async function openCampaign(directory: string, bench: Bench): Promise<CampaignPlace> {
  const campaign = await readCampaign(directory);
  return { directory, campaign, source: await openPlaced(directory, campaign.model, bench) };
}

/** Throws UsageError where this machine would compute other values than the campaign asks for. */
export async function requireSameHow({ how }: Campaign, bench: Bench): Promise<void> {
  const here = await howOf(bench);
  const wanted: Record<string, unknown> = { ...how, engine: how.engine.version };
  const found: Record<string, unknown> = { ...here, engine: here.engine.version };
  const different = [...new Set([...Object.keys(wanted), ...Object.keys(found)])].filter(
    (key) => wanted[key] !== found[key],
  );
  if (different.length === 0) return;
  const words = different.map(
    (key) => `${key}: ${found[key] ?? "none"} here, ${wanted[key] ?? "none"} in the campaign`,
  );
  throw new UsageError(
    `this machine would compute other bits than the campaign's (${words.join("; ")}): run it where they agree, or plan the campaign on the machine that can do least`,
  );
}

/** The path of an input, which is what it was. */
export async function inputPath(directory: string, { file, sha256 }: CampaignInput): Promise<string> {
  const path = join(directory, file);
  if ((await hashFile(path)) === sha256) return path;
  throw new FormatError(path, "was changed since the campaign was planned; put it back, or plan anew");
}

/** What a stage wrote into the campaign. Throws FormatError where it is something else. */
export function requireContent<Schema extends TSchema>(schema: Schema, value: unknown, what: string): Content<Schema> {
  const violation = findViolation(schema, value);
  if (violation === undefined) return value as Content<Schema>;
  throw new FormatError(
    "campaign.json",
    `the ${what} of the stage can't be read (${JSON.stringify(violation)}); make it again`,
  );
}
