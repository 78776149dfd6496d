/**
 * What a campaign is: a directory that says what is to be done, in pieces that any machine can do. Nothing in it is code,
 * and every path lies below it. What decides a value decides the id, and with it the names of all parts.
 */
import { Type } from "@sinclair/typebox";
import { cacheKey } from "../disk/cache-key.ts";
import { defineDocument } from "../documents/document-kind.ts";
import * as t from "../documents/fields.ts";

export const STAGE_IDS = ["analysis", "probes", "imatrix", "quantize", "feedback", "evaluation"] as const;
export type StageId = (typeof STAGE_IDS)[number];

/** A path below the campaign: no root, no drive, no `..`. */
const BELOW = "^(?!.*(^|/)\\.\\.(/|$))[^/\\\\:\\u0000-\\u001f][^\\\\\\u0000-\\u001f]*$";
const below = (description: string) => Type.String({ pattern: BELOW, maxLength: 1024, description });

const INPUT = t.object({
  name: t.name("What it is to the stage: imatrix, text, analysis."),
  file: below("Where it lies, below the campaign."),
  sha256: t.text(),
  path: t.text("What it was called where it came from."),
});

/** Indexes of a campaign, at most. */
export const MOST_JOBS = 100_000;

export const CAMPAIGN_UNIT = t.object({
  key: Type.String({ pattern: "^[0-9a-f]{32}$", description: "Names its part: the campaign's id and what it is of." }),
  job: t.count("The index that does it."),
  cost: t.amount("What it takes beside others: bytes to read."),
  of: Type.Unknown({ description: "What the stage is to measure." }),
});

const MODEL = t.object({
  file: t.text("Below the campaign, a link to the file or the first of its shards; or hf:… and https://…"),
  path: t.text("As it was named."),
  shards: t.list(t.text()),
  headerHash: t.text("SHA-256 of the header."),
  fingerprint: t.text("SHA-256 of the header and of pieces of every tensor."),
  fileBytes: t.bytes(),
});
export type CampaignModel = t.Content<typeof MODEL>;

export const CAMPAIGN = defineDocument({
  id: "prism.campaign/1",
  noun: "a campaign",
  remedy: "make it again with prism shard plan",
  description: "Work on one model in units that any machine does, and merges to one result.",
  schema: t.object({
    schema: t.exactly("prism.campaign/1"),
    prismVersion: t.text(),
    createdAt: t.text(),
    id: t.text("A hash of all that decides the values, and of what the units are of."),
    stage: t.oneOf(STAGE_IDS),
    method: t.count("Counts changes of what the stage measures."),
    model: MODEL,
    candidates: t.optional(t.list(MODEL, "Files that are compared with it.")),
    how: t.object({
      engine: t.object({ version: t.text(), origin: t.text() }),
      cpuBuild: t.optional(t.text("ggml's build for processors.")),
      kernels: t.optional(t.text()),
      backend: t.text(),
      backendBuild: t.text("What computes the metrics, without its threads."),
      arch: t.text("Of the processor."),
      seed: t.count(),
      gpuLayers: t.count(),
    }),
    inputs: t.list(INPUT),
    options: Type.Unknown({ description: "Of the stage." }),
    jobs: Type.Integer({ minimum: 0, maximum: MOST_JOBS, description: "Indexes, from 0." }),
    rounds: t.optional(
      t.exactly(true, {
        description: "These are the units of the first round; later ones, which follow from its parts, lie in rounds/.",
      }),
    ),
    units: t.list(CAMPAIGN_UNIT),
  }),
});

export type Campaign = t.Content<typeof CAMPAIGN.schema>;
export type CampaignUnit = Campaign["units"][number];
/** What its units follow from. */
export type CampaignHead = Omit<Campaign, "schema" | "prismVersion" | "createdAt" | "id" | "rounds" | "units">;
export type CampaignInput = Campaign["inputs"][number];

/** What decides the values of a campaign, and what its units are of, as a name. */
export function campaignId(
  campaign: Pick<Campaign, "stage" | "method" | "model" | "candidates" | "how" | "inputs" | "options">,
  units: readonly Pick<CampaignUnit, "of">[],
): string {
  const { stage, method, model, candidates = [], how, inputs, options } = campaign;
  const { origin: _, ...engine } = how.engine;
  const files = [model, ...candidates].map(({ headerHash, fingerprint }) => [headerHash, fingerprint]);
  const content = inputs.map(({ name, sha256 }) => [name, sha256]);
  const ofs = units.map(({ of }) => of);
  return cacheKey([CAMPAIGN.id, JSON.stringify([stage, method, files, { ...how, engine }, content, options, ofs])]);
}

/** Names the part of a unit. */
export function unitKey(id: string, of: unknown): string {
  return cacheKey([id, JSON.stringify(of)]);
}
