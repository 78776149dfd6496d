/**
 * That a campaign was handed to an engine: a mark in its folder, for whoever asks how far it is or cancels it. What the engine
 * itself says is the truth; the mark says where to ask.
 */
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { fileExists, makeFolder, writeFileAside } from "../disk/aside-file.ts";
import { cacheKey } from "../disk/cache-key.ts";
import { lockFolder } from "../disk/folder-lock.ts";
import { readDocumentText } from "../documents/document-file.ts";
import { defineDocument } from "../documents/document-kind.ts";
import * as t from "../documents/fields.ts";
import { readDocument } from "../documents/read-document.ts";
import { FormatError } from "../errors.ts";
import { PRISM_VERSION } from "../version.ts";
import type { Campaign } from "./campaign-document.ts";

/** Engines that a campaign can be handed to and asked about. */
export const ENGINES = ["slurm", "redis"] as const;
export type EngineId = (typeof ENGINES)[number];

export const SUBMISSION = defineDocument({
  id: "prism.submission/1",
  noun: "the mark of a submission",
  remedy: "delete it; prism shard submit finds what is queued",
  description: "Says which engine does the work of a campaign.",
  schema: t.object({
    schema: t.exactly("prism.submission/1"),
    prismVersion: t.text(),
    createdAt: t.text(),
    campaign: t.text("Its id."),
    engine: t.oneOf(ENGINES),
    name: t.text("What the engine calls the campaign's work: the name of the array, or of the queue."),
    indexes: t.count("That were handed over."),
    arrays: t.optional(t.list(t.text(), "Of Slurm: the numbers of the arrays.")),
    url: t.optional(t.text("Of Redis, without a password.")),
  }),
});
export type Submission = t.Content<typeof SUBMISSION.schema>;

/** What engines call a campaign: another for each one that was planned, be it of the same content. */
export function engineName({ id, createdAt }: Pick<Campaign, "id" | "createdAt">): string {
  return `prism-${cacheKey([id, createdAt])}`;
}

function markFile(directory: string, engine: EngineId): string {
  return join(directory, "submitted", `${engine}.json`);
}

export async function writeMark(
  directory: string,
  campaign: Campaign,
  content: Omit<Submission, "schema" | "prismVersion" | "createdAt" | "campaign" | "name">,
): Promise<Submission> {
  const mark: Submission = {
    schema: "prism.submission/1",
    prismVersion: PRISM_VERSION,
    createdAt: new Date().toISOString(),
    campaign: campaign.id,
    name: engineName(campaign),
    ...content,
  };
  await writeFileAside(markFile(directory, content.engine), `${JSON.stringify(mark, null, 1)}\n`);
  return mark;
}

/** Undefined where the campaign was not handed to this engine. Throws FormatError for a mark of something else. */
export async function readMark(
  directory: string,
  campaign: Campaign,
  engine: EngineId,
): Promise<Submission | undefined> {
  const path = markFile(directory, engine);
  if (!(await fileExists(path))) return undefined;
  const mark = readDocument(await readDocumentText(path), path, SUBMISSION);
  if (mark.campaign === campaign.id && mark.engine === engine) return mark;
  throw new FormatError(path, `is of another campaign or engine; ${SUBMISSION.remedy}`);
}

export async function removeMark(directory: string, engine: EngineId): Promise<void> {
  await rm(markFile(directory, engine), { force: true });
}

/** One process at a time hands a campaign to an engine, or takes it back. Throws UsageError, which says who does. */
export async function withSubmissionLock<Result>(directory: string, work: () => Promise<Result>): Promise<Result> {
  const folder = join(directory, "submitted");
  await makeFolder(folder);
  const lock = await lockFolder(join(folder, "lock"));
  try {
    return await work();
  } finally {
    await lock.release();
  }
}
