/**
 * Where the native library may lie: shipped with the package, built in a checkout, or compiled into the cache. What was
 * compiled here carries the hash of its sources in its name, so that it is never taken for that of other sources.
 */
import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { defaultCacheDir } from "../disk/cache-dir.ts";

/** The folder of the sources, from src/ as from dist/. */
const ROOT = fileURLToPath(new URL("../../native-kernels", import.meta.url));

/** "linux-x64", as Node names it. */
export const THIS_PLATFORM = `${process.platform}-${process.arch}`;

/** Node's name of the platform, then what a shared library ends with there. */
const SUFFIXES: Readonly<Record<string, string>> = { win32: "dll", darwin: "dylib" };

export function librarySuffix(platform: string): string {
  return SUFFIXES[platform.split("-")[0] ?? ""] ?? "so";
}

/** Below `prebuilt/`, of the package: the libraries by platform, and their checksums. */
export const PREBUILT = { folder: join(ROOT, "prebuilt"), checksums: "checksums.json" } as const;

/** Below prebuilt/, with slashes: the key in the checksums. */
export function prebuiltName(platform = THIS_PLATFORM): string {
  return `${platform}/prism-kernels.${librarySuffix(platform)}`;
}

/** Every source file below native-kernels/src, in order of name. */
export function kernelSources(root = ROOT): string[] {
  const folder = join(root, "src");
  return readdirSync(folder, { recursive: true, encoding: "utf8" })
    .filter((name) => /\.(cpp|h)$/.test(name))
    .map((name) => join(folder, name))
    .sort();
}

/** Lies beside a library that was compiled here: the SHA-256 the compiler's output had. */
export function checksumFile(path: string): string {
  return `${path}.sha256`;
}

export function checksumOf(content: Uint8Array): string {
  return createHash("sha256").update(content).digest("hex");
}

let sourceHash: string | undefined;

/** The name of what is compiled from the sources as they are now. */
function compiledName(): string {
  if (sourceHash === undefined) {
    const hash = createHash("sha256");
    for (const path of kernelSources()) hash.update(readFileSync(path));
    sourceHash = hash.digest("hex").slice(0, 12);
  }
  return `prism-kernels-${sourceHash}.${librarySuffix(THIS_PLATFORM)}`;
}

/** Where `npm run build:native` of a checkout puts the library of this platform. */
export function builtPath(): string {
  return join(ROOT, "build", THIS_PLATFORM, compiledName());
}

/** Where the first use puts it, if nothing else fits. */
export function compiledPath(cacheDir = defaultCacheDir()): string {
  return join(cacheDir, "kernels", THIS_PLATFORM, compiledName());
}
