/**
 * Compile the native library: one call of a C++17 compiler for all sources, which hold every instruction set of a
 * platform and choose when they are loaded.
 */
import { spawn } from "node:child_process";
import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { compileFailure, failureFile, findLibrary, libraryProblem, NOT_BUILT } from "./find-library.ts";
import { checksumFile, checksumOf, compiledPath, kernelSources, THIS_PLATFORM } from "./kernel-files.ts";
import { koffiDamage } from "./koffi.ts";

const FLAGS = [
  "-O3",
  "-std=c++17",
  "-shared",
  "-fvisibility=hidden",
  // Nothing reads errno or floating-point traps; without them loops with roots and selections vectorise.
  "-fno-math-errno",
  "-fno-trapping-math",
  "-Wall",
  "-Wextra",
  // Vectors wider than a register are passed between inlined functions only.
  "-Wno-psabi",
];

/** What a compiler makes of the sources; longer than a busy machine takes (measured: 20 s on two idle cores). */
const COMPILE_MS = 600_000;

export interface CompileOptions {
  readonly output: string;
  /** The command and its first arguments; default: the first there is of CXX, or c++, clang++ and g++. */
  readonly compiler?: readonly string[];
  /** "linux-arm64"; default: this one. */
  readonly platform?: string;
  /** What the compiler links a library of this platform with; default: as GCC and Clang need it. */
  readonly link?: readonly string[];
  readonly sources?: readonly string[];
  readonly signal?: AbortSignal;
}

export type Compiled =
  | { readonly ok: true; readonly warnings: string }
  | { readonly ok: false; readonly noCompiler: boolean; readonly problem: string };

/**
 * Compile to `output`, which is put in place whole: a process that has the old one loaded keeps it, and of two at once
 * the last one stays. Throws the reason of `signal` on abort; a failure of the compiler is returned.
 */
export async function compileKernels(options: CompileOptions): Promise<Compiled> {
  const { output, platform = THIS_PLATFORM, sources = kernelSources() } = options;
  const compilers = options.compiler ? [options.compiler] : localCompilers();
  const units = sources.filter((path) => path.endsWith(".cpp"));
  const link = options.link ?? (platform.startsWith("win32") ? ["-static"] : ["-fPIC", "-pthread"]);
  mkdirSync(dirname(output), { recursive: true });
  const aside = `${output}.${process.pid}`;
  try {
    for (const [command = "", ...first] of compilers) {
      const run = await runCompiler(command, [...first, ...FLAGS, ...link, ...units, "-o", aside], options.signal);
      if (run === undefined) continue;
      if (run.code === 0) {
        renameSync(aside, output);
        return { ok: true, warnings: run.stderr };
      }
      const line = run.stderr.split("\n").find((text) => text.includes("error")) ?? run.ended;
      return { ok: false, noCompiler: false, problem: `${command} failed: ${line}` };
    }
    const names = compilers.map(([command]) => command).join(", ");
    return { ok: false, noCompiler: true, problem: `no C++ compiler (${names})` };
  } finally {
    rmSync(aside, { force: true });
  }
}

/** Compile to `output`, and keep beside it what its content is known by (find-library.ts). */
export async function compileHere(options: Pick<CompileOptions, "output" | "signal">): Promise<Compiled> {
  const compiled = await compileKernels(options);
  const { output } = options;
  if (compiled.ok) writeFileSync(checksumFile(output), `${checksumOf(readFileSync(output))}\n`);
  return compiled;
}

function localCompilers(): readonly (readonly string[])[] {
  const { CXX } = process.env;
  return CXX ? [[CXX]] : [["c++"], ["clang++"], ["g++"]];
}

interface CompilerRun {
  readonly code: number | null;
  readonly stderr: string;
  /** How it ended, in words. */
  readonly ended: string;
}

/** Undefined where there is no such program. */
function runCompiler(
  command: string,
  args: readonly string[],
  signal: AbortSignal | undefined,
): Promise<CompilerRun | undefined> {
  return new Promise((resolve, reject) => {
    // Not spawn's own timeout: where there is no such program, its timer would keep this process alive.
    const ends = AbortSignal.any([AbortSignal.timeout(COMPILE_MS), ...(signal ? [signal] : [])]);
    const child = spawn(command, args, { stdio: ["ignore", "ignore", "pipe"], signal: ends });
    let stderr = "";
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      stderr += text;
    });
    child.once("error", (error: NodeJS.ErrnoException) => {
      if (signal?.aborted) reject(signal.reason);
      else if (error.code === "ENOENT") resolve(undefined);
      else resolve({ code: null, stderr, ended: error.message });
    });
    child.once("close", (code, killed) => resolve({ code, stderr, ended: killed ?? `exit code ${code}` }));
  });
}

/**
 * Compile the library into the cache where none is found, once per version of the sources; a compiler that failed on
 * them is not called again unless `again`. `note` is told before it starts, and why it failed. Throws the reason of `signal`.
 */
export async function compileMissingKernels(options: {
  readonly note: (text: string) => void;
  readonly signal?: AbortSignal;
  readonly again?: boolean;
}): Promise<void> {
  const found = findLibrary();
  if (typeof found !== "string" || process.env.PRISM_ISA === "none") return;
  const output = compiledPath();
  if (!options.again && compileFailure(output) !== undefined) return;
  if (found !== NOT_BUILT) options.note(`! ${found}`);
  // with it no library can be loaded
  if (koffiDamage() !== undefined) return;
  options.note("compiling the native kernels, once for this version of PRISM (about a minute)…");
  const problem = (await compileInto(output, options.signal)) ?? triedProblem(output);
  findLibrary({ again: true });
  if (problem !== undefined)
    options.note(`! no native kernels: ${problem}; PRISM goes on in TypeScript, which is slower`);
}

/** What is wrong with what was compiled (a cache that is mounted noexec, say), kept so that it isn't compiled again. */
function triedProblem(output: string): string | undefined {
  const problem = libraryProblem(output);
  if (problem === undefined) rmSync(failureFile(output), { force: true });
  else writeFileSync(failureFile(output), problem);
  return problem;
}

/** The problem, which is kept beside where the library would be; undefined where it is there now. */
async function compileInto(output: string, signal: AbortSignal | undefined): Promise<string | undefined> {
  try {
    const compiled = await compileHere({ output, ...(signal ? { signal } : {}) });
    if (compiled.ok) return undefined;
    writeFileSync(failureFile(output), compiled.problem);
    return compiled.problem;
  } catch (error) {
    if (signal?.aborted) throw error;
    return (error as Error).message;
  }
}
