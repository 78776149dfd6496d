/**
 * Which native library this process uses: the prebuilt one of the package where it fits, else one that was compiled
 * here. Each must have the checksum it was packed or compiled with. One made for another processor can still end the
 * process that loads it, so each is loaded and checked in a child process first; that it passed is remembered in the
 * cache, under its checksum and the processor.
 */
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { cpus } from "node:os";
import { dirname, join } from "node:path";
import { defaultCacheDir } from "../disk/cache-dir.ts";
import { entryPoint } from "../entry.ts";
import { builtPath, checksumFile, checksumOf, compiledPath, PREBUILT, prebuiltName } from "./kernel-files.ts";
import { KOFFI_REMEDY, koffiDamage, koffiFiles } from "./koffi.ts";

export interface FoundLibrary {
  readonly path: string;
  /** "prebuilt": came with the package; "compiled": made on this machine. */
  readonly origin: "prebuilt" | "compiled";
  /** SHA-256 of the content that passed. */
  readonly checksum: string;
}

/** What try-library.ts writes first: what goes wrong before is koffi's fault. */
export const KOFFI_LOADED = "koffi is loaded\n";

/** A try takes a fifth of a second; a library that hangs is none. */
const TRY_MS = 60_000;

/** Why there is no library where nothing is wrong with one. */
export const NOT_BUILT = "the native kernels are not built";

let found: FoundLibrary | string | undefined;

/** The library to load, or why there is none. Looked for once per process, or `again`. */
export function findLibrary({ again = false } = {}): FoundLibrary | string {
  if (found === undefined || again) found = lookForLibrary();
  return found;
}

function lookForLibrary(): FoundLibrary | string {
  const koffi = koffiDamage();
  if (koffi !== undefined) return `${koffi}: ${KOFFI_REMEDY}`;
  const problems: string[] = [];
  const prebuilt = join(PREBUILT.folder, prebuiltName());
  const candidates = [
    { path: prebuilt, origin: "prebuilt", damage: checksumProblem },
    { path: builtPath(), origin: "compiled", damage: compiledDamage },
    { path: compiledPath(), origin: "compiled", damage: compiledDamage },
  ] as const;
  for (const { path, origin, damage } of candidates) {
    if (!existsSync(path)) continue;
    const problem = damage(path) ?? libraryProblem(path);
    if (problem === undefined) return { path, origin, checksum: checksum(path) };
    problems.push(problem);
  }
  const failure = compileFailure(compiledPath());
  if (failure !== undefined && !problems.includes(failure))
    problems.push(`compiling the native kernels failed: ${failure}`);
  return problems.length === 0 ? NOT_BUILT : problems.join(", ");
}

/** Where it is kept that compiling to `output` failed, and why: as long as the sources are the same. */
export function failureFile(output: string): string {
  return `${output}.failed`;
}

export function compileFailure(output: string): string | undefined {
  const file = failureFile(output);
  return existsSync(file) ? readFileSync(file, "utf8") : undefined;
}

/** What is wrong with a prebuilt library by its checksum. */
export function checksumProblem(path: string, folder = PREBUILT.folder, name = prebuiltName()): string | undefined {
  try {
    const expected = JSON.parse(readFileSync(join(folder, PREBUILT.checksums), "utf8"))[name];
    if (expected === checksum(path)) return undefined;
    return `${path} is damaged: its SHA-256 is not the one it was packed with`;
  } catch (error) {
    return `${path} can't be checked (${(error as Error).message})`;
  }
}

/** What is wrong with a library that was compiled here, by the checksum beside it. */
export function compiledDamage(path: string): string | undefined {
  try {
    if (readFileSync(checksumFile(path), "utf8").trim() === checksum(path)) return undefined;
    return `${path} is damaged: its SHA-256 is not the one it was compiled with`;
  } catch (error) {
    return `${path} can't be checked (${(error as Error).message})`;
  }
}

function checksum(path: string): string {
  return checksumOf(readFileSync(path));
}

/** What is wrong with a library, tried in a child process; undefined where it loads and computes rightly. */
export function libraryProblem(path: string, cacheDir = defaultCacheDir()): string | undefined {
  const passed = join(cacheDir, "kernels", "passed", `${tryKey(path)}.txt`);
  if (existsSync(passed)) return undefined;
  const problem = tryInChild(path);
  if (problem === undefined) remember(passed, path);
  return problem;
}

/** What the outcome depends on: the library and what loads it, the processor, Node, and the instruction set asked for. */
function tryKey(path: string): string {
  const files = [path, ...koffiFiles()].map(checksum);
  const depends = [...files, cpus()[0]?.model, process.version, process.arch, process.env.PRISM_ISA];
  return createHash("sha256").update(depends.join("\n")).digest("hex").slice(0, 24);
}

function tryInChild(path: string): string | undefined {
  const child = spawnSync(process.execPath, [entryPoint("./try-library", import.meta.url), path], {
    encoding: "utf8",
    timeout: TRY_MS,
    stdio: ["ignore", "pipe", "pipe"],
  });
  if (child.status === 0) return undefined;
  if (child.error !== undefined) return `${path} can't be tried in a process of its own (${child.error.message})`;
  const loadedKoffi = child.stdout.startsWith(KOFFI_LOADED);
  const culprit = loadedKoffi ? path : `koffi (${koffiFiles().join(", ") || "an addon that is not there"})`;
  const remedy = loadedKoffi ? "" : `: ${KOFFI_REMEDY}`;
  if (child.signal !== null)
    return `${culprit} crashed (${child.signal}) when it was tried in a process of its own${remedy}`;
  const said =
    child.stdout.slice(loadedKoffi ? KOFFI_LOADED.length : 0).trim() ||
    child.stderr.split("\n").find((line) => /Error/.test(line)) ||
    `exit code ${child.status}`;
  return said.startsWith(culprit) ? said : `${culprit}: ${said}${remedy}`;
}

function remember(passed: string, path: string): void {
  try {
    mkdirSync(dirname(passed), { recursive: true });
    writeFileSync(`${passed}.${process.pid}`, `${path}\n`);
    renameSync(`${passed}.${process.pid}`, passed);
  } catch {
    // without a cache it is tried at every start
  }
}
