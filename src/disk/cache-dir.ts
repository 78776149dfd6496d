/** Where PRISM keeps what it can make or fetch again: one folder for all stages. */
import { homedir } from "node:os";
import { join } from "node:path";

/** `PRISM_CACHE_DIR`, else the platform's cache folder. */
export function defaultCacheDir(env: NodeJS.ProcessEnv = process.env): string {
  if (env.PRISM_CACHE_DIR) return env.PRISM_CACHE_DIR;
  if (process.platform === "win32" && env.LOCALAPPDATA) return join(env.LOCALAPPDATA, "prism");
  return join(env.XDG_CACHE_HOME || join(homedir(), ".cache"), "prism");
}
