/** What the machine offers: Node, processors, memory, disk, the cache folder, programs of llama.cpp on PATH. */

import { constants } from "node:fs";
import { access, mkdtemp, rm, statfs } from "node:fs/promises";
import { availableParallelism, cpus, freemem, tmpdir, totalmem } from "node:os";
import { delimiter, join } from "node:path";
import { makeFolder } from "../../disk/aside-file.ts";
import { defaultCacheDir } from "../../disk/cache-dir.ts";
import { formatSize } from "../../numbers.ts";
import type { Check } from "./check.ts";

/** The oldest Node.js that is supported; the same as in package.json. */
const MIN_NODE = [20, 11] as const;

const PROGRAMS = ["llama-quantize", "llama-perplexity", "llama-imatrix", "llama-server"] as const;

export async function machineChecks(): Promise<Check[]> {
  return [nodeCheck(), machineCheck(), await cacheCheck(), await diskCheck(), ...(await programChecks())];
}

function nodeCheck(): Check {
  const [major = 0, minor = 0] = process.versions.node.split(".").map(Number);
  const supported = major > MIN_NODE[0] || (major === MIN_NODE[0] && minor >= MIN_NODE[1]);
  return {
    name: "node",
    status: supported ? "ok" : "missing",
    detail: process.version,
    ...(supported ? {} : { remedy: `install Node.js ${MIN_NODE.join(".")} or newer` }),
  };
}

function machineCheck(): Check {
  const model = cpus()[0]?.model.trim() ?? "unknown processor";
  return {
    name: "machine",
    status: "ok",
    detail: `${process.platform}-${process.arch}, ${availableParallelism()} threads (${model}), memory ${formatSize(freemem())} free of ${formatSize(totalmem())}`,
  };
}

async function cacheCheck(): Promise<Check> {
  const dir = defaultCacheDir();
  try {
    await makeFolder(dir);
    await rm(await mkdtemp(join(dir, ".doctor-")), { recursive: true });
    const { bavail, bsize } = await statfs(dir);
    return { name: "cache", status: "ok", detail: `${dir}, ${formatSize(bavail * bsize)} free` };
  } catch (error) {
    return {
      name: "cache",
      status: "absent",
      detail: `${dir} can't be written (${(error as Error).message})`,
      remedy: "set PRISM_CACHE_DIR to a folder that can",
    };
  }
}

async function diskCheck(): Promise<Check> {
  const { bavail, bsize } = await statfs(process.cwd());
  return {
    name: "disk",
    status: "ok",
    detail: `${formatSize(bavail * bsize)} free here (${tmpdir()} for short-lived files)`,
  };
}

async function programChecks(): Promise<Check[]> {
  return Promise.all(
    PROGRAMS.map(async (name): Promise<Check> => {
      const path = await findOnPath(name);
      if (path !== undefined) return { name, status: "ok", detail: path };
      return { name, status: "absent", detail: "not on PATH; only recipes run by hand need it" };
    }),
  );
}

async function findOnPath(name: string): Promise<string | undefined> {
  const file = process.platform === "win32" ? `${name}.exe` : name;
  for (const folder of (process.env.PATH ?? "").split(delimiter)) {
    const path = join(folder, file);
    const runs = await access(path, constants.X_OK).then(
      () => true,
      () => false,
    );
    if (folder !== "" && runs) return path;
  }
  return undefined;
}
