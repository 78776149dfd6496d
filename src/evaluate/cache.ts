/**
 * What evaluations keep between runs: sampled texts and reference logits, under names made of what they depend on.
 * In the folder of disk/cache-dir.ts.
 */
import { createHash } from "node:crypto";
import { readdir, rm, stat, statfs } from "node:fs/promises";
import { join } from "node:path";

/** A short name for everything the content depends on. */
export function cacheKey(parts: readonly (string | number)[]): string {
  return createHash("sha256").update(parts.join("\n")).digest("hex").slice(0, 32);
}

/** Part of the free disk that logits may take. */
const FREE_SHARE = 0.8;
/** An evaluation touches its logits every minute (reference.ts); what was used this recently is left alone. */
const IN_USE_MS = 10 * 60_000;
/** A half-written file this old was abandoned by a process that was killed. */
const ABANDONED_MS = 24 * 3_600_000;

interface CachedFile {
  readonly path: string;
  readonly bytes: number;
  readonly usedMs: number;
}

/**
 * Make room for `bytes` more in `dir` under `limitBytes`, deleting the logits longest unused first, but none of an
 * evaluation that is running. False, and nothing deleted, where it can't fit the limit or the free disk.
 */
export async function makeRoom(dir: string, bytes: number, limitBytes: number, nowMs = Date.now()): Promise<boolean> {
  const files = await listFiles(dir);
  const evictable = files.filter(({ path, usedMs }) => {
    return nowMs - usedMs > (path.endsWith(".logits") ? IN_USE_MS : ABANDONED_MS);
  });
  evictable.sort((a, b) => a.usedMs - b.usedMs);
  const { bavail, bsize } = await statfs(dir);
  let used = files.reduce((sum, file) => sum + file.bytes, 0);
  let free = bavail * bsize;
  const evicted: CachedFile[] = [];
  const fits = () => used + bytes <= limitBytes && bytes <= free * FREE_SHARE;
  for (const file of evictable) {
    if (fits()) break;
    evicted.push(file);
    used -= file.bytes;
    free += file.bytes;
  }
  if (!fits()) return false;
  for (const { path } of evicted) await rm(path, { force: true });
  return true;
}

async function listFiles(dir: string): Promise<CachedFile[]> {
  const names = await readdir(dir);
  const files = await Promise.all(
    names.map(async (name) => {
      const path = join(dir, name);
      // Another evaluation may have deleted or renamed it since.
      const found = await stat(path).catch(() => undefined);
      if (found === undefined || !found.isFile()) return [];
      return [{ path, bytes: found.size, usedMs: Math.max(found.atimeMs, found.mtimeMs) }];
    }),
  );
  return files.flat();
}
