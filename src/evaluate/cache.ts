/**
 * What evaluations keep between runs: sampled texts and reference logits, under names made of what they depend on.
 * One folder, `PRISM_CACHE_DIR`, else the platform's cache folder.
 */
import { createHash } from "node:crypto";
import { readdir, rm, stat, statfs } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";

export function defaultCacheDir(env: NodeJS.ProcessEnv = process.env): string {
  if (env.PRISM_CACHE_DIR) return env.PRISM_CACHE_DIR;
  if (process.platform === "win32" && env.LOCALAPPDATA) return join(env.LOCALAPPDATA, "prism");
  return join(env.XDG_CACHE_HOME || join(homedir(), ".cache"), "prism");
}

/** A short name for everything the content depends on. */
export function cacheKey(parts: readonly (string | number)[]): string {
  return createHash("sha256").update(parts.join("\n")).digest("hex").slice(0, 32);
}

/** Part of the free disk that logits may take. */
const FREE_SHARE = 0.8;

/**
 * Make room for `bytes` more in `dir` under `limitBytes`, deleting the files longest unused first.
 * False where it can't fit: over the limit by itself, or more than the free disk.
 */
export async function makeRoom(dir: string, bytes: number, limitBytes: number): Promise<boolean> {
  if (bytes > limitBytes) return false;
  const names = await readdir(dir);
  const files = await Promise.all(
    names.map(async (name) => {
      const path = join(dir, name);
      const { size, atimeMs, mtimeMs } = await stat(path);
      return { path, bytes: size, usedMs: Math.max(atimeMs, mtimeMs) };
    }),
  );
  files.sort((a, b) => a.usedMs - b.usedMs);
  let total = files.reduce((sum, file) => sum + file.bytes, 0);
  for (const file of files) {
    if (total + bytes <= limitBytes) break;
    await rm(file.path, { force: true });
    total -= file.bytes;
  }
  const disk = await statfs(dir);
  return bytes <= disk.bavail * disk.bsize * FREE_SHARE;
}
