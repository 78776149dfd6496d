/**
 * Build libmtmd, which reads images and which the engine's package comes without: from the sources of the very release that
 * the package was built from, as the npm package node-llama-cpp carries them, linked with the engine's own libraries.
 * Needs npm, git, tar and a C++ compiler; tried on Linux.
 */
import { createHash } from "node:crypto";
import { mkdir, mkdtemp, readdir, readFile, rename, rm } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { EngineError } from "../errors.ts";
import { type EnginePackage, findEnginePackage, findGpuPackages, LLAMA_VERSION, PACKAGE_VERSION } from "./package.ts";
import { type ProgramOutput, runProgram } from "./run-program.ts";
import { visionLibraryPath } from "./vision-library.ts";

/** SHA-512 of node-llama-cpp-3.22.1.tgz as published. */
const SOURCE_SHA512 = "bltIipuWmc123H7tMIgDGKSsSrhmhlQYeVUC48XTjVW7XGJJiJJyCdlTMzQ/LiWoPkGDpcL4FviDpgw7qfTiDw==";
const BUNDLE = "package/llama/gitRelease.bundle";

/** Folders of llama.cpp's sources, and what of them the library is made of: not the programs beside it. */
const SOURCES: readonly (readonly [folder: string, files: RegExp])[] = [
  ["tools/mtmd", /^(clip|mtmd|mtmd-(audio|image|helper|helper-gen)|models.[\w-]+)\.cpp$/],
  ["vendor/hash", /\.(cpp|c)$/],
];
const INCLUDES = ["tools/mtmd", "include", "ggml/include", "vendor", "vendor/hash"];
const CPP = process.env.CXX ?? "c++";
const C = process.env.CC ?? "cc";
const FLAGS = [
  "-O3",
  "-DNDEBUG",
  "-fPIC",
  "-w",
  "-DGGML_BACKEND_SHARED",
  "-DGGML_SHARED",
  "-DLLAMA_BUILD",
  "-DLLAMA_SHARED",
];

export interface BuildVisionOptions {
  /** Sources compiled at a time. */
  readonly threads: number;
  readonly signal: AbortSignal;
  readonly note: (text: string) => void;
}

/** Build it for every engine package that is installed; returns their paths. Throws EngineError with what failed. */
export async function buildVision({ threads, signal, note }: BuildVisionOptions): Promise<string[]> {
  if (process.platform === "win32") {
    throw new EngineError("libmtmd is built on Linux and macOS; on Windows let a llama-server score images (--server)");
  }
  const packages = [findEnginePackage(), ...findGpuPackages().values()].filter((found) => typeof found === "object");
  const paths = [...new Set(packages.map(visionLibraryPath))];
  const home = dirname(dirname(paths[0] as string));
  await mkdir(home, { recursive: true });
  const work = await mkdtemp(join(home, "build-"));
  const run = (program: string, ...args: string[]) => runWell(program, args, signal);
  try {
    note(`fetching llama.cpp ${LLAMA_VERSION}, as node-llama-cpp ${PACKAGE_VERSION} carries it`);
    const source = await fetchSource(work, run);
    const objects = await compile(source, work, { threads, run, note });
    for (const found of packages) await link(found, objects, run);
    return paths;
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

type Run = (program: string, ...args: string[]) => Promise<ProgramOutput>;

async function fetchSource(work: string, run: Run): Promise<string> {
  await run("npm", "pack", `node-llama-cpp@${PACKAGE_VERSION}`, "--silent", "--pack-destination", work);
  const archive = join(work, `node-llama-cpp-${PACKAGE_VERSION}.tgz`);
  const sum = createHash("sha512")
    .update(await readFile(archive))
    .digest("base64");
  if (sum !== SOURCE_SHA512) throw new EngineError(`${basename(archive)} is not as it was published; try again`);
  await run("tar", "-xzf", archive, "-C", work, BUNDLE);
  const source = join(work, "llama.cpp");
  await run("git", "clone", "--quiet", join(work, BUNDLE), source);
  return source;
}

interface CompileWork extends Pick<BuildVisionOptions, "threads" | "note"> {
  readonly run: Run;
}

async function compile(source: string, work: string, { threads, run, note }: CompileWork): Promise<string[]> {
  const files: string[] = [];
  for (const [folder, wanted] of SOURCES) {
    const found = await readdir(join(source, folder), { recursive: true });
    files.push(...found.filter((file) => wanted.test(file)).map((file) => join(folder, file)));
  }
  const includes = INCLUDES.map((folder) => `-I${join(source, folder)}`);
  const waiting = [...files.entries()];
  let done = 0;
  const compileNext = async (): Promise<void> => {
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
      const [index, file] = next;
      const [compiler, ...language] = isCpp(file) ? [CPP, "-x", "c++", "-std=c++17"] : [C, "-std=c11"];
      await run(compiler, ...language, ...FLAGS, ...includes, "-c", join(source, file), "-o", join(work, `${index}.o`));
      if (++done % 10 === 0) note(`compiled ${done} of ${files.length} sources of libmtmd`);
    }
  };
  // all have ended before the folder is removed
  const ends = await Promise.allSettled(
    Array.from({ length: Math.max(1, threads) }, () =>
      compileNext().catch((error: unknown) => {
        waiting.length = 0;
        throw error;
      }),
    ),
  );
  const failed = ends.find((end) => end.status === "rejected");
  if (failed !== undefined) throw failed.reason;
  return files.map((_, index) => join(work, `${index}.o`));
}

/** One of the C files is C++ by its content. */
function isCpp(file: string): boolean {
  return /\.cpp$|\bsha1\.c$/.test(file);
}

async function link(found: EnginePackage, objects: readonly string[], run: Run): Promise<void> {
  const path = visionLibraryPath(found);
  const aside = `${path}.${process.pid}`;
  await mkdir(dirname(path), { recursive: true });
  const whole = process.platform === "darwin" ? [] : ["-Wl,--no-undefined"];
  const libraries = [found.llama, found.ggml, found.ggmlBase];
  await run(CPP, "-shared", "-o", aside, ...objects, ...libraries, ...whole, "-lpthread");
  await rename(aside, path);
}

async function runWell(program: string, args: readonly string[], signal: AbortSignal): Promise<ProgramOutput> {
  const output = await runProgram(program, args, { signal });
  if (output.code === 0) return output;
  const lines = output.stderr.trim().split("\n");
  const said = lines.find((line) => /error/i.test(line)) ?? lines.at(-1);
  throw new EngineError(`building libmtmd: ${program} failed (${said}); let a llama-server score images (--server)`);
}
