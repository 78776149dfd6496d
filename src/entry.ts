/**
 * Where the entry file of a child process or worker thread lies: beside the module that names it. Node runs no
 * TypeScript, so from source (vitest, tsx) it is the built file in dist/ that `npm run build` put there.
 */
import { fileURLToPath } from "node:url";

/** Locate `name` (without extension, "./child/main") relative to `base` (import.meta.url). */
export function entryPoint(name: string, base: string): string {
  const path = fileURLToPath(new URL(`${name}.js`, base));
  return base.endsWith(".ts") ? path.replace(/([\\/])src([\\/](?!.*[\\/]src[\\/]))/, "$1dist$2") : path;
}
