/** Keeps a folder of cached parts within a size: those longest unused go first. */
import { readdir, rm, rmdir, stat, statfs } from "node:fs/promises";
import { join } from "node:path";

export interface CacheBudget {
  /** Make room for `bytes` more, deleting what was unused longest. */
  makeRoom(bytes: number): Promise<void>;
}

/** Part of the limit that stays after deleting, so that it is not done again for every file. */
const KEPT_SHARE = 0.9;
/** Part of the free disk that may be taken. */
const FREE_SHARE = 0.5;

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
        const files = (await listFiles(root)).sort((a, b) => a.usedMs - b.usedMs);
        let used = files.reduce((sum, file) => sum + file.bytes, 0);
        for (const file of files) {
          if (used + bytes <= KEPT_SHARE * state.limit) break;
          await rm(file.path, { force: true });
          used -= file.bytes;
        }
        await removeEmptyFolders(root);
        state.used = used;
      }
      state.used += bytes;
    },
  };
}

async function measure(root: string, limitBytes: number): Promise<{ used: number; limit: number }> {
  const used = (await listFiles(root)).reduce((sum, file) => sum + file.bytes, 0);
  const { bavail, bsize } = await statfs(root);
  return { used, limit: Math.min(limitBytes, used + bavail * bsize * FREE_SHARE) };
}

async function listFiles(root: string): Promise<CachedFile[]> {
  const files: CachedFile[] = [];
  for (const folder of await readdir(root)) {
    // another process may have removed it since, here and below
    for (const name of await readdir(join(root, folder)).catch(() => [])) {
      const path = join(root, folder, name);
      const found = await stat(path).catch(() => undefined);
      if (found?.isFile()) files.push({ path, bytes: found.size, usedMs: found.mtimeMs });
    }
  }
  return files;
}

async function removeEmptyFolders(root: string): Promise<void> {
  // rmdir refuses those that are not empty
  for (const folder of await readdir(root)) await rmdir(join(root, folder)).catch(() => undefined);
}
