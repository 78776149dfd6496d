/**
 * The spectral metrics against LAPACK's values-only SVD, numpy.linalg.svd(compute_uv=False) in 32 bits, in one run:
 * `npx tsx bench/spectral.ts [--threads N] [--python python3]`. PRISM's time is that of σ₁ and the window eigenvalues, on
 * a sample of 256 rows as by default and on the whole matrix as with --exact. Skipped, with a line, without numpy.
 */
import { spawnSync } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { windowGrid } from "../src/analyze/alpha-hill.ts";
import type { Matrix } from "../src/kernels/backend.ts";
import { nativeBackend } from "../src/kernels/native.ts";
import { heavyTailed } from "../test/kernels/matrices.ts";
import { fastest } from "./limits.ts";
import { recordResult } from "./results.ts";

const { values } = parseArgs({
  options: { threads: { type: "string", default: "1" }, python: { type: "string", default: "python3" } },
});
const threads = Number(values.threads);

/** Rows of the default sample (src/analyze/sampling.ts). */
const SAMPLE_ROWS = 256;
/** Runs of the SVD; of the largest matrices one takes many seconds. */
const SVD_RUNS: Readonly<Record<number, number>> = { 1024: 5, 4096: 1 };

/** Time the SVD and print, besides, the singular values of the first window of the grid. */
const PROGRAM = `
import json, sys, time, numpy
path, order, window, runs = sys.argv[1], *map(int, sys.argv[2:])
w = numpy.fromfile(path, dtype=numpy.float32).reshape(order, order)
best = float("inf")
for _ in range(runs):
    start = time.perf_counter()
    values = numpy.linalg.svd(w, compute_uv=False)
    best = min(best, time.perf_counter() - start)
inside = numpy.linalg.svd(w[:window, :window].astype(numpy.float64), compute_uv=False)
print(json.dumps({"seconds": best, "sigma": float(values[0]), "window": inside.tolist()}))
`;

interface Svd {
  readonly seconds: number;
  readonly sigma: number;
  readonly window: readonly number[];
}

const native = nativeBackend({ threads });
const folder = await mkdtemp(join(tmpdir(), "prism-spectral-"));
try {
  await compareAll();
} finally {
  await native.close();
  await rm(folder, { recursive: true });
}

async function compareAll(): Promise<void> {
  const problem = numpyProblem();
  if (problem !== undefined) {
    console.log(`skipped: ${values.python} with numpy is needed (${problem}); name one with --python`);
    return;
  }
  console.log(`${native.description}; LAPACK on ${threads} thread${threads === 1 ? "" : "s"}\n`);
  console.log("| matrix | SVD, s | sample, s | ratio | whole, s | ratio | σ₁ of the whole | values of a window |");
  console.log("|---|---|---|---|---|---|---|---|");
  const figures: Record<string, unknown> = { threads };
  for (const order of [1024, 4096]) {
    figures[`order${order}`] = await compare(order);
  }
  await recordResult({ bench: "spectral", figures });
}

async function compare(order: number) {
  const whole = heavyTailed(order, order);
  const svd = await singularValues(whole);
  const sample = { data: whole.data.subarray(0, SAMPLE_ROWS * order), rows: SAMPLE_ROWS, columns: order };
  const sampleSeconds = await fastest(() => spectra(sample, false));
  const wholeSeconds = await fastest(() => spectra(whole, true));
  const sigmaError = Math.abs((await native.sigmaMax(whole)) / svd.sigma - 1);
  const [window] = await native.windowEigenvalues(whole, svd.window.length, [0], 0);
  // Of the Gram matrix the small ones keep fewer digits, in any arithmetic.
  const kept = svd.window.filter((value) => value > 1e-3 * (svd.window[0] ?? 0));
  const windowError = Math.max(...kept.map((value, at) => Math.abs(Math.sqrt(window?.[at] ?? 0) / value - 1)));
  const ratios = [svd.seconds / sampleSeconds, svd.seconds / wholeSeconds] as const;
  console.log(
    `| ${order} × ${order} | ${svd.seconds.toFixed(2)} | ${sampleSeconds.toFixed(4)} | ${ratios[0].toFixed(0)} | ${wholeSeconds.toFixed(3)} | ${ratios[1].toFixed(1)} | ${sigmaError.toExponential(1)} | ${windowError.toExponential(1)} |`,
  );
  return { svdSeconds: svd.seconds, sampleSeconds, wholeSeconds, sigmaError, windowError };
}

/** σ₁ and the eigenvalues of the windows that the metrics look at. */
async function spectra(matrix: Matrix, exact: boolean): Promise<void> {
  const grid = windowGrid(matrix.rows, matrix.columns, exact);
  if (grid === undefined) throw new Error(`no windows in ${matrix.rows} × ${matrix.columns}`);
  await native.sigmaMax(matrix);
  for (const row of grid.rowOffsets) await native.windowEigenvalues(matrix, grid.size, grid.columnOffsets, row);
}

async function singularValues({ data, rows }: Matrix): Promise<Svd> {
  const path = join(folder, "weights.f32");
  await writeFile(path, new Uint8Array(data.buffer));
  const run = python("-c", PROGRAM, path, String(rows), "256", String(SVD_RUNS[rows] ?? 1));
  if (run.status !== 0) throw new Error(`${values.python}: ${run.stderr}`);
  return JSON.parse(run.stdout) as Svd;
}

function numpyProblem(): string | undefined {
  const run = python("-c", "import numpy");
  return run.status === 0 ? undefined : (run.error?.message ?? run.stderr.trim().split("\n").at(-1));
}

function python(...options: string[]) {
  const count = String(threads);
  const env = { ...process.env, OPENBLAS_NUM_THREADS: count, OMP_NUM_THREADS: count, MKL_NUM_THREADS: count };
  return spawnSync(values.python, options, { encoding: "utf8", env });
}
