/** Runs → a repository of the Hub. By itself only says what it would upload. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type { Bench } from "../bench.ts";
import { PrismError, UsageError } from "../errors.ts";
import { present } from "../present.ts";
import { hubAddress, hubToken } from "../publish/hub-access.ts";
import { type HubTarget, requireToken } from "../publish/hub-errors.ts";
import { type UploadFile, type UploadState, uploadFiles, uploadState } from "../publish/hub-upload.ts";
import { cardHead } from "../report/card/card-head.ts";
import { isRepository } from "../report/card/hub-metadata.ts";
import { type PublicationRequest, publication, README } from "./publication.ts";

export interface UploadRequest extends Omit<PublicationRequest, "repository"> {
  /** Upload; else nothing leaves this machine but questions. */
  readonly yes?: boolean | undefined;
  /** Make the repository a private one. */
  readonly private?: boolean | undefined;
  /** The branch; made where it is missing. */
  readonly revision?: string | undefined;
  readonly hubUrl?: string | undefined;
}

export interface UploadedFile extends UploadFile {
  /** Whether it lay there already as it is; absent where the Hub was not asked. */
  readonly there?: boolean;
}

export interface UploadResult {
  /** Where the repository is seen. */
  readonly url: string;
  readonly revision: string;
  readonly dryRun: boolean;
  /** The page of the repository: where it lies here, and what the Hub reads first. */
  readonly card: { readonly path: string; readonly head: readonly string[] };
  /** Whether the repository was there before; absent where the Hub was not asked. */
  readonly exists?: boolean;
  readonly files: readonly UploadedFile[];
  /** Addresses of the commits. */
  readonly commits: readonly string[];
}

/** Upload runs. Throws UsageError for no token, FileError for what the Hub refuses, and as publication() does. */
export async function upload(
  runs: readonly string[],
  repository: string,
  request: UploadRequest,
  { signal, progress }: Pick<Bench, "signal" | "progress">,
  env: NodeJS.ProcessEnv = process.env,
): Promise<UploadResult> {
  const { yes = false, private: isPrivate, revision = "main", hubUrl: named, ...card } = request;
  if (!isRepository(repository)) throw new UsageError(`expected OWNER/NAME as on the Hub, got "${repository}"`);
  if (!/^[\w][\w./-]*$/.test(revision)) throw new UsageError(`--revision: expected a branch, got "${revision}"`);
  const hubUrl = hubAddress(named, env);
  const found = await hubToken(env);
  // before the hours of hashing
  const token = yes ? requireToken(found, hubUrl) : found;
  if (token === undefined)
    progress.note("! no token of the Hub, which --yes needs: set HF_TOKEN, or log in with hf auth login");
  const target: HubTarget = { hubUrl, repository, revision };
  const { files, folder, written } = await publication(runs, { ...card, repository }, progress.note);
  const page = join(folder, README);
  const text = await readFile(page, "utf8");
  progress.note(written ? `wrote the card: ${page}` : `the card is the one that was there: ${page}`);
  if (!text.includes(repository)) {
    progress.note(`! ${page} has no line for ${repository}; edit it, or write it anew with --force`);
  }
  const options = token === undefined ? undefined : { token, signal, progress, isPrivate };
  const state = options && (yes ? await uploadState(files, target, options) : await asked(files, target, options));
  const commits = yes && options && state ? await uploadFiles(files, state, target, options) : [];
  return {
    url: `${hubUrl}/${repository}${revision === "main" ? "" : `/tree/${revision}`}`,
    revision,
    dryRun: !yes,
    card: { path: page, head: cardHead(text) },
    ...present({ exists: state?.exists }),
    files: files.map((file) => ({ ...file, ...present({ there: state?.there.has(file.publishAs) }) })),
    commits,
  };
}

/** A look at what would be uploaded does without the Hub. */
async function asked(
  files: readonly UploadFile[],
  target: HubTarget,
  options: Parameters<typeof uploadState>[2],
): Promise<UploadState | undefined> {
  try {
    return await uploadState(files, target, options);
  } catch (error) {
    if (!(error instanceof PrismError) || error instanceof UsageError) throw error;
    options.progress.note(`! what is there already is not known: ${error.message}`);
    return undefined;
  }
}
