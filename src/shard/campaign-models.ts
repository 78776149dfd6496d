/** The models of a campaign: links below it, so that a model that was moved is one link, and what they have to be. */
import { symlink } from "node:fs/promises";
import { basename, join, resolve } from "node:path";
import type { Bench } from "../bench.ts";
import { isRemote } from "../bytes/remote-name.ts";
import { makeFolder } from "../disk/aside-file.ts";
import { FormatError } from "../errors.ts";
import type { OpenModel } from "../gguf/model.ts";
import { openNamedModel } from "../intake/open-named-model.ts";
import type { Campaign, CampaignModel } from "./campaign-document.ts";
import { fingerprintOf } from "./fingerprint.ts";

const SOURCE_FOLDER = "model";

function candidateFolder(index: number): string {
  return `candidates/${index}`;
}

export function placeSource(source: OpenModel, directory: string, signal: AbortSignal): Promise<CampaignModel> {
  return placeModel(source, directory, SOURCE_FOLDER, signal);
}

/** In folders of their own: files may have one name. */
export async function placeCandidates(
  candidates: readonly OpenModel[],
  directory: string,
  signal: AbortSignal,
): Promise<CampaignModel[]> {
  const placed: CampaignModel[] = [];
  for (const [index, open] of candidates.entries()) {
    placed.push(await placeModel(open, directory, candidateFolder(index), signal));
  }
  return placed;
}

async function placeModel(
  source: OpenModel,
  directory: string,
  folder: string,
  signal: AbortSignal,
): Promise<CampaignModel> {
  const { model, path, fileBytes } = source;
  const { headerHash } = model;
  const fingerprint = await fingerprintOf(source, signal);
  const shards = model.shards.map((shard) => shard.path);
  if (isRemote(path)) return { file: path, path, shards, headerHash, fingerprint, fileBytes };
  await makeFolder(join(directory, folder));
  for (const shard of shards) await symlink(resolve(shard), join(directory, folder, basename(shard)));
  const file = `${folder}/${basename(shards[0] as string)}`;
  return { file, path: model.path, shards, headerHash, fingerprint, fileBytes };
}

/** Throws FormatError, which names the document at `path`, for a model that does not lie where it was placed. */
export function requireBelow({ model, candidates = [] }: Pick<Campaign, "model" | "candidates">, path: string): void {
  const isIn = (folder: string, file: string) =>
    file.startsWith(`${folder}/`) && /^[^/\\]+$/.test(file.slice(folder.length + 1));
  const wrong = [
    ...(isRemote(model.file) || isIn(SOURCE_FOLDER, model.file) ? [] : [model.file]),
    ...candidates.filter(({ file }, index) => !isIn(candidateFolder(index), file)).map(({ file }) => file),
  ];
  if (wrong.length === 0) return;
  throw new FormatError(path, `names a model outside the campaign (${wrong[0]}); make it again`);
}

/** Where the files of its candidates lie. */
export function candidateFiles(directory: string, { candidates = [] }: Pick<Campaign, "candidates">): string[] {
  return candidates.flatMap(({ shards }, index) =>
    shards.map((shard) => join(directory, candidateFolder(index), basename(shard))),
  );
}

/** Open a model of the campaign on this machine; the caller closes it. Throws FormatError where it is another. */
export async function openPlaced(
  directory: string,
  { file, headerHash, fingerprint }: CampaignModel,
  bench: Bench,
): Promise<OpenModel> {
  const { model: open } = await openNamedModel(isRemote(file) ? file : join(directory, file), bench);
  try {
    const isSame = open.model.headerHash === headerHash && (await fingerprintOf(open, bench.signal)) === fingerprint;
    if (isSame) return open;
    throw new FormatError(
      open.path,
      "is not the model this campaign was planned for (its header or weights differ); put that one back, or plan anew",
    );
  } catch (error) {
    await open.close();
    throw error;
  }
}

export interface OpenCandidate {
  /** As it was named. */
  readonly path: string;
  readonly open: OpenModel;
}

/** All its candidates, in their order; the caller closes them. Throws FormatError where one is another. */
export async function openCandidates(
  directory: string,
  { candidates = [] }: Pick<Campaign, "candidates">,
  bench: Bench,
): Promise<OpenCandidate[]> {
  const opened: OpenCandidate[] = [];
  try {
    for (const placed of candidates) {
      opened.push({ path: placed.path, open: await openPlaced(directory, placed, bench) });
    }
    return opened;
  } catch (error) {
    for (const { open } of opened) await open.close();
    throw error;
  }
}
