/** Names of what is kept, made of what it depends on. */
import { createHash } from "node:crypto";

/** A short name for everything the content depends on. */
export function cacheKey(parts: readonly (string | number)[]): string {
  return createHash("sha256").update(parts.join("\n")).digest("hex").slice(0, 32);
}
