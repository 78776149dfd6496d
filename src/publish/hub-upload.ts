/**
 * Upload to a repository of the Hub, so that a cut costs one file at most: what lies there with the same hash is left, each
 * large file is a commit of its own, and the small ones, the page among them, come last in one.
 */
import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { pathToFileURL } from "node:url";
import type { Progress } from "../bench.ts";
import { FileError, UsageError } from "../errors.ts";
import { type HubTarget, hubError, statusOf } from "./hub-errors.ts";
import { hubFetch } from "./hub-fetch.ts";

/** A file that is uploaded. */
export interface UploadFile {
  /** On this machine. */
  readonly path: string;
  /** In the repository. */
  readonly publishAs: string;
  readonly fileBytes: number;
  readonly sha256: string;
}

export interface UploadState {
  /** Whether the repository exists. */
  readonly exists: boolean;
  /** Files that lie there as they are, by their names in the repository. */
  readonly there: ReadonlySet<string>;
}

export interface UploadOptions {
  readonly token: string;
  readonly signal: AbortSignal;
  readonly progress: Progress;
  /** Waits before a transfer that failed is tried again, milliseconds. */
  readonly retryAfterMs?: readonly number[];
}

/** A commit of its own from this size on; the Hub keeps smaller text in git. */
const LARGE_BYTES = 10e6;

/** What the Hub answers in one piece. */
const PATHS_AT_ONCE = 100;

/** What is there already. `isPrivate`: a repository that is public is refused. Throws FileError, UsageError. */
export async function uploadState(
  files: readonly UploadFile[],
  target: HubTarget,
  { isPrivate = false, ...options }: UploadOptions & { readonly isPrivate?: boolean | undefined },
): Promise<UploadState> {
  const { hubUrl, repository, revision } = target;
  const hub = await import("@huggingface/hub");
  const given = { hubUrl, accessToken: options.token, fetch: hubFetch(options) };
  try {
    const info = await orMissing(hub.modelInfo({ name: repository, ...given }));
    if (info === undefined) return { exists: false, there: new Set() };
    if (isPrivate && !info.private) {
      throw new UsageError(
        `--private: ${repository} is there already and public; make it private in its settings, or leave the option out`,
      );
    }
    const there = new Set<string>();
    for (let start = 0; start < files.length; start += PATHS_AT_ONCE) {
      const some = files.slice(start, start + PATHS_AT_ONCE);
      const paths = some.map(({ publishAs }) => publishAs);
      const found = (await orMissing(hub.pathsInfo({ repo: repository, revision, paths, ...given }))) ?? [];
      for (const file of some) {
        const entry = found.find(({ path }) => path === file.publishAs);
        if (entry !== undefined && (await isSame(file, entry))) there.add(file.publishAs);
      }
    }
    return { exists: true, there };
  } catch (error) {
    throw hubError(error, target, options.token);
  }
}

async function orMissing<Answer>(answer: Promise<Answer>): Promise<Answer | undefined> {
  try {
    return await answer;
  } catch (error) {
    if (statusOf(error) !== 404) throw error;
    return undefined;
  }
}

/** Large files are known by their SHA-256, those in git by what git calls them. */
async function isSame(
  { path, fileBytes, sha256 }: UploadFile,
  { oid, size, lfs }: { readonly oid?: string; readonly size: number; readonly lfs?: { readonly oid: string } },
): Promise<boolean> {
  if (lfs !== undefined) return lfs.oid === sha256;
  if (size !== fileBytes || oid === undefined) return false;
  const content = await readFile(path);
  return createHash("sha1").update(`blob ${content.length}\0`).update(content).digest("hex") === oid;
}

/**
 * Upload what is not there, making the repository and the branch where they are missing. Returns the addresses of the
 * commits. Throws FileError.
 */
export async function uploadFiles(
  files: readonly UploadFile[],
  { exists, there }: UploadState,
  target: HubTarget,
  { isPrivate = false, ...options }: UploadOptions & { readonly isPrivate?: boolean | undefined },
): Promise<string[]> {
  const { hubUrl, repository: repo, revision } = target;
  const missing = files.filter(({ publishAs }) => !there.has(publishAs));
  if (missing.length === 0) return [];
  const { token, progress, signal } = options;
  const hub = await import("@huggingface/hub");
  const total = missing.reduce((sum, { fileBytes }) => sum + fileBytes, 0);
  let sent = 0;
  const told = (bytes: number, path: string) => {
    sent = Math.min(total, sent + bytes);
    progress.steps("uploading, MB", Math.round(sent / 1e6), Math.max(1, Math.round(total / 1e6)), path);
  };
  const given = { hubUrl, accessToken: token, fetch: hubFetch(options, told) };
  const commits: string[] = [];
  try {
    if (!exists) {
      await hub.createRepo({ repo, visibility: isPrivate ? "private" : "public", ...given });
      progress.note(`made the ${isPrivate ? "private" : "public"} repository ${hubUrl}/${repo}`);
    }
    if (revision !== "main") await hub.createBranch({ repo, branch: revision, overwrite: true, ...given });
    for (const group of commitGroups(missing)) {
      signal.throwIfAborted();
      const operations = group.map(({ path, publishAs }) => ({
        operation: "addOrUpdate" as const,
        path: publishAs,
        content: pathToFileURL(path),
      }));
      const [first] = group;
      const title = group.length === 1 && first !== undefined ? `Add ${first.publishAs}` : `Add ${group.length} files`;
      // plain LFS: every transfer is a request that can be repeated, and stops when it is told to
      const done = await hub.commit({
        repo,
        operations,
        title,
        branch: revision,
        abortSignal: signal,
        useXet: false,
        ...given,
      });
      if (done !== undefined) commits.push(done.commit.url);
      for (const { publishAs } of group) progress.note(`uploaded ${publishAs}`);
    }
  } catch (error) {
    signal.throwIfAborted();
    throw hubError(error, target, token);
  }
  await requireThere(missing, target, options);
  return commits;
}

function commitGroups(files: readonly UploadFile[]): UploadFile[][] {
  const isLarge = ({ fileBytes }: UploadFile) => fileBytes >= LARGE_BYTES;
  const small = files.filter((file) => !isLarge(file));
  return [...files.filter(isLarge).map((file) => [file]), ...(small.length === 0 ? [] : [small])];
}

/** What was hashed may have been changed while it was uploaded: ask what arrived. */
async function requireThere(files: readonly UploadFile[], target: HubTarget, options: UploadOptions): Promise<void> {
  const { there } = await uploadState(files, target, options);
  const other = files.find(({ publishAs }) => !there.has(publishAs));
  if (other === undefined) return;
  throw new FileError(
    other.path,
    `what arrived at ${target.repository} as ${other.publishAs} is not this file; was it changed meanwhile? The same command uploads it again`,
  );
}
