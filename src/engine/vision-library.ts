/**
 * Where the library that reads images (llama.cpp's libmtmd, which the package comes without) lies once
 * `prism doctor --build-mtmd` built it: in the cache, by release and by the package that it is linked with.
 */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { defaultCacheDir } from "../disk/cache-dir.ts";
import { type EnginePackage, LLAMA_VERSION } from "./package.ts";

export function visionLibraryPath({ name }: Pick<EnginePackage, "name">): string {
  const build = `${LLAMA_VERSION}-${name.slice(name.indexOf("/") + 1)}`;
  return join(defaultCacheDir(), "vision", build, process.platform === "darwin" ? "libmtmd.dylib" : "libmtmd.so");
}

/** The library for this package; undefined where it was not built. */
export function findVisionLibrary(found: Pick<EnginePackage, "name">): string | undefined {
  const path = visionLibraryPath(found);
  return existsSync(path) ? path : undefined;
}
