/**
 * Compile the library: `node native-kernels/build.mjs [--optional]`, one call of a C++ compiler (CXX, c++, clang++ or
 * g++), done again only where a source is newer. With --optional, as when the package is installed, it never fails: a
 * line says what was skipped.
 */
import { spawnSync } from "node:child_process";
import { mkdirSync, readdirSync, renameSync, rmSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const HERE = dirname(fileURLToPath(import.meta.url));
const SUFFIX = { win32: "dll", darwin: "dylib" }[process.platform] ?? "so";
const FOLDER = join(HERE, "build", `${process.platform}-${process.arch}`);
const LIBRARY = join(FOLDER, `prism-kernels.${SUFFIX}`);

const FLAGS = [
  "-O3",
  "-std=c++17",
  "-shared",
  "-fvisibility=hidden",
  // Nothing reads errno or floating-point traps; without them loops with roots and selections vectorise.
  "-fno-math-errno",
  "-fno-trapping-math",
  // Vectors wider than a register are passed between inlined functions only.
  "-Wall",
  "-Wextra",
  "-Wno-psabi",
  ...(process.platform === "win32" ? ["-static"] : ["-fPIC", "-pthread"]),
];

/** Every file below src, the .cpp files being the units to compile. */
function sources() {
  return readdirSync(join(HERE, "src"), { recursive: true })
    .map((name) => join(HERE, "src", String(name)))
    .filter((path) => /\.(cpp|h)$/.test(path));
}

function modified(path) {
  return statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0;
}

/** @returns {string | undefined} why there is no library, or undefined where there is one. */
function build() {
  const files = sources();
  const newest = Math.max(...[...files, fileURLToPath(import.meta.url)].map(modified));
  if (modified(LIBRARY) > newest) return undefined;
  mkdirSync(FOLDER, { recursive: true });
  // Put in place whole: a process that has the old one loaded keeps it.
  const partial = `${LIBRARY}.${process.pid}`;
  const inputs = files.filter((path) => path.endsWith(".cpp"));
  const candidates = process.env.CXX ? [process.env.CXX] : ["c++", "clang++", "g++"];
  for (const compiler of candidates) {
    const run = spawnSync(compiler, [...FLAGS, ...inputs, "-o", partial], { encoding: "utf8" });
    if (run.error?.code === "ENOENT") continue;
    if (run.status === 0) {
      process.stderr.write(run.stderr);
      renameSync(partial, LIBRARY);
      return undefined;
    }
    rmSync(partial, { force: true });
    const first = (run.stderr ?? "").split("\n").find((line) => line.includes("error"));
    return `${compiler} failed: ${first ?? run.error?.message ?? `exit code ${run.status}`}`;
  }
  return `no C++ compiler (${candidates.join(", ")})`;
}

const optional = process.argv.includes("--optional");
let problem;
try {
  problem = build();
} catch (error) {
  problem = error.message;
}
if (problem !== undefined) {
  process.stderr.write(`native kernels skipped: ${problem}; PRISM uses its reference backend, which is slower\n`);
  if (!optional) process.exitCode = 1;
}
