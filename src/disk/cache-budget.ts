/**
 * Keeps folders of the cache within a size: those files go first that were unused longest. Two policies: many small parts
 * give way by themselves (`createCacheBudget`), large files are asked for one by one, and not at the cost of those in use
 * (`makeRoom`).
 */
import { readdir, rm, rmdir, stat, statfs } from "node:fs/promises";
import { join } from "node:path";

export interface CacheBudget {
  /** Make room for `bytes` more, deleting what was unused longest. */
  makeRoom(bytes: number): Promise<void>;
}

/** Part of the limit that stays after deleting, so that it is not done again for every file. */
const KEPT_SHARE = 0.9;
/** Part of the free disk that small parts may take, and that large files may. */
const FREE_SHARE = { parts: 0.5, files: 0.8 };
/** Who works with a large file touches it every minute; what was used this recently is left alone. */
const IN_USE_MS = 10 * 60_000;
/** A half-written file this old was abandoned by a process that was killed. */
const ABANDONED_MS = 24 * 3_600_000;

interface CachedFile {
  readonly path: string;
  readonly bytes: number;
  readonly usedMs: number;
}

/** Watch over the files two levels below `root`. Sizes are counted once and again whenever the limit is met. */
export function createCacheBudget(root: string, limitBytes: number): CacheBudget {
  let state: { used: number; limit: number } | undefined;
  return {
    async makeRoom(bytes) {
      state ??= await measure(root, limitBytes);
      if (state.used + bytes > state.limit) {
        const { limit } = state;
        const files = await listNested(root);
        const { chosen, used } = longestUnused(files, sizeOf(files), (left) => left + bytes <= KEPT_SHARE * limit);
        await remove(chosen);
        await removeEmptyFolders(root);
        state.used = used;
      }
      state.used += bytes;
    },
  };
}

/**
 * Make room for a file of `bytes` in `dir` under `limitBytes`, deleting files longest unused first, but none in use. False,
 * and nothing deleted, where it can't fit the limit or the free disk.
 */
export async function makeRoom(dir: string, bytes: number, limitBytes: number, nowMs = Date.now()): Promise<boolean> {
  const files = await listFiles(dir);
  const idle = files.filter(({ path, usedMs }) => nowMs - usedMs > (path.endsWith(".part") ? ABANDONED_MS : IN_USE_MS));
  const { bavail, bsize } = await statfs(dir);
  const all = sizeOf(files);
  const fits = (left: number) =>
    left + bytes <= limitBytes && bytes <= (bavail * bsize + all - left) * FREE_SHARE.files;
  const { chosen, used } = longestUnused(idle, all, fits);
  if (!fits(used)) return false;
  await remove(chosen);
  return true;
}

/** Files to delete so that of `used` bytes enough are left to be content with, those unused longest first. */
function longestUnused(
  files: readonly CachedFile[],
  used: number,
  isEnough: (used: number) => boolean,
): { chosen: CachedFile[]; used: number } {
  const chosen: CachedFile[] = [];
  let left = used;
  for (const file of [...files].sort((a, b) => a.usedMs - b.usedMs)) {
    if (isEnough(left)) break;
    chosen.push(file);
    left -= file.bytes;
  }
  return { chosen, used: left };
}

function sizeOf(files: readonly CachedFile[]): number {
  return files.reduce((sum, { bytes }) => sum + bytes, 0);
}

async function remove(files: readonly CachedFile[]): Promise<void> {
  for (const { path } of files) await rm(path, { force: true });
}

async function measure(root: string, limitBytes: number): Promise<{ used: number; limit: number }> {
  const used = sizeOf(await listNested(root));
  const { bavail, bsize } = await statfs(root);
  return { used, limit: Math.min(limitBytes, used + bavail * bsize * FREE_SHARE.parts) };
}

async function listNested(root: string): Promise<CachedFile[]> {
  const folders = await readdir(root);
  // another process may have removed one since
  return (await Promise.all(folders.map((folder) => listFiles(join(root, folder)).catch(() => [])))).flat();
}

async function listFiles(dir: string): Promise<CachedFile[]> {
  const files = (await readdir(dir)).map(async (name) => {
    const path = join(dir, name);
    // another process may have deleted or renamed it since
    const found = await stat(path).catch(() => undefined);
    return found?.isFile() ? [{ path, bytes: found.size, usedMs: Math.max(found.atimeMs, found.mtimeMs) }] : [];
  });
  return (await Promise.all(files)).flat();
}

async function removeEmptyFolders(root: string): Promise<void> {
  // rmdir refuses those that are not empty
  for (const folder of await readdir(root)) await rmdir(join(root, folder)).catch(() => undefined);
}
