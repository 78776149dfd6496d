/**
 * The results of all benchmarks on a machine: bench/results/<machine>.jsonl, a line for each run of one. A figure that
 * documentation quotes can be found there with the day, the commit and the load it was measured under.
 */
import { spawnSync } from "node:child_process";
import { appendFile, mkdir } from "node:fs/promises";
import { availableParallelism, cpus, loadavg, totalmem } from "node:os";
import { join } from "node:path";

const CHECKOUT = join(import.meta.dirname, "..");
const FOLDER = join(CHECKOUT, "bench", "results");

/** One run of a benchmark. */
export interface BenchResult {
  /** The script's name without its ending: "kernels". */
  readonly bench: string;
  /** Default: this machine. */
  readonly machine?: string;
  /** What was measured, units in the names: `momentsNsPerWeight`. Objects nest as they need to; nothing is NaN. */
  readonly figures: Readonly<Record<string, unknown>>;
}

/** "amd-epyc-2-threads-linux-x64": the processor, the threads it offers and the platform. */
export function machineName(): string {
  const model = cpus()[0]?.model ?? "unknown processor";
  return `${model} ${availableParallelism()} threads ${process.platform} ${process.arch}`
    .toLowerCase()
    .replaceAll(/[^a-z0-9]+/g, "-")
    .replaceAll(/^-|-$/g, "");
}

/** Append the result to the machine's file and return its path. Numbers that are not finite are an error. */
export async function recordResult({ bench, machine = machineName(), figures }: BenchResult): Promise<string> {
  const path = join(FOLDER, `${machine}.jsonl`);
  const line = {
    bench,
    date: new Date().toISOString(),
    commit: commit(),
    node: process.version,
    memoryBytes: totalmem(),
    loadAverage: Number(loadavg()[0]?.toFixed(2)),
    figures,
  };
  await mkdir(FOLDER, { recursive: true });
  await appendFile(path, `${JSON.stringify(line, refuseNonFinite)}\n`);
  return path;
}

/** JSON would write null. */
function refuseNonFinite(key: string, value: unknown): unknown {
  if (typeof value === "number" && !Number.isFinite(value)) throw new RangeError(`the figure ${key} is ${value}`);
  return value;
}

/** Short hash of the commit, with a + where files were changed since; absent outside a checkout. */
function commit(): string | undefined {
  const git = (...options: string[]) => spawnSync("git", options, { cwd: CHECKOUT, encoding: "utf8" });
  const head = git("rev-parse", "--short", "HEAD");
  if (head.status !== 0) return undefined;
  const changed = git("status", "--porcelain", "--untracked-files=no", "--", "src", "native-kernels", "bench/*.ts");
  return `${head.stdout.trim()}${changed.stdout === "" ? "" : "+"}`;
}
