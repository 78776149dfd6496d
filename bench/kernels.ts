/**
 * The native kernels against the reference in one run: `npx tsx bench/kernels.ts [--threads N]` prints nanoseconds per
 * weight and their ratio, how far the results lie apart, and the share of what bounds the kernel: for moments the rate
 * at which this process copies memory, for Gram matrices the multiply-adds of one core. PRISM_ISA holds the kernels back.
 */
import { cpus } from "node:os";
import { parseArgs } from "node:util";
import type { Backend } from "../src/kernels/backend.ts";
import { nativeBackend } from "../src/kernels/native.ts";
import { libraryPath, loadLibrary } from "../src/kernels/native-library.ts";
import { referenceBackend } from "../src/kernels/reference.ts";
import { gaussian } from "../test/kernels/matrices.ts";

const { values } = parseArgs({ options: { threads: { type: "string", default: "1" } } });
const threads = Number(values.threads);

/** Every rate is the best of this many milliseconds of calls: the machine's other work only adds time. */
const MEASURE_MS = 2000;
/** Calls at least. */
const MIN_CALLS = 5;
const WINDOW = 256;

interface Operation {
  readonly name: string;
  /** Weights one call reads. */
  readonly weights: number;
  readonly run: (backend: Backend) => Promise<readonly number[]>;
  /** Share of the limit that binds the kernel, from seconds per call. */
  readonly share?: (seconds: number) => string;
}

const library = loadLibrary(libraryPath());
if (typeof library === "string") throw new Error(library);
const native = nativeBackend({ threads });
const reference = referenceBackend();

const from = new Float64Array(1 << 23).fill(1);
const to = new Float64Array(from.length).fill(2);
const copyBytesPerSecond = await fastest(copyMemory);
const peakFlops = await fastest(multiplyAdd);

/** Seconds per byte moved, read and written, by a copy that fits no cache. */
async function copyMemory(): Promise<number> {
  const started = performance.now();
  to.set(from);
  return (performance.now() - started) / 1e3 / (2 * from.byteLength);
}

/** Seconds per floating-point operation in registers. */
async function multiplyAdd(): Promise<number> {
  const started = performance.now();
  const operations = (library as Exclude<typeof library, string>).peak(50_000, new Float64Array(1));
  return (performance.now() - started) / 1e3 / operations;
}

/** The highest rate of several tries of what gives seconds per unit. */
async function fastest(secondsPerUnit: () => Promise<number>): Promise<number> {
  let least = Number.POSITIVE_INFINITY;
  const started = performance.now();
  for (let calls = 0; calls < MIN_CALLS || performance.now() - started < MEASURE_MS; calls++) {
    least = Math.min(least, await secondsPerUnit());
  }
  return 1 / least;
}

const band = gaussian(256, 4096);
const large = gaussian(4096, 4096);
const square = gaussian(1024, 1024);
const wide = gaussian(128, 32_768);
const percent = (share: number) => `${(100 * share).toFixed(0)} %`;

const operations: readonly Operation[] = [
  {
    name: "moments, 4096 × 4096",
    weights: large.data.length,
    run: async (backend) => {
      const { rowPower, columnPower } = await backend.moments(large);
      return [...rowPower, ...columnPower];
    },
    share: (seconds) => `${percent(large.data.byteLength / seconds / copyBytesPerSecond)} of memory copy`,
  },
  {
    name: "OSQE, 256 × 4096",
    weights: band.data.length,
    run: async (backend) => {
      const { power, error } = await backend.osqe(band);
      return [power, error[2], error[3], error[4], error[6]];
    },
  },
  {
    name: `eigenvalues of 4 windows of ${WINDOW}`,
    weights: 4 * WINDOW ** 2,
    run: async (backend) =>
      (await backend.windowEigenvalues(band, WINDOW, [0, 1000, 2000, 3840], 0)).flatMap((window) =>
        Array.from(window.subarray(0, WINDOW / 2)),
      ),
  },
  {
    name: "σ₁ of 128 × 32768 (Gram matrix)",
    weights: wide.data.length,
    run: async (backend) => [await backend.sigmaMax(wide)],
    // Half of the products of rows, each a multiplication and an addition; the eigenvalues are not counted.
    share: (seconds) => `${percent((128 * 129 * 32_768) / seconds / peakFlops / threads)} of peak`,
  },
  {
    name: "σ₁ of 1024 × 1024 (Krylov)",
    weights: square.data.length,
    run: async (backend) => [await backend.sigmaMax(square)],
  },
];

console.log(
  `${cpus()[0]?.model}, native: ${native.description}; copies ${(copyBytesPerSecond / 1e9).toFixed(1)} GB/s, ` +
    `multiply-adds ${(peakFlops / 1e9).toFixed(0)} GFLOP/s in 64 bits on one core\n`,
);
console.log(
  "| operation | reference, ns/weight | native, ns/weight | ratio | largest relative difference | share of limit |",
);
console.log("|---|---|---|---|---|---|");
for (const { name, weights, run, share } of operations) {
  const expected = await run(reference);
  const found = await run(native);
  const seconds = 1 / (await fastest(() => time(run, native)));
  const before = 1 / (await fastest(() => time(run, reference)));
  const difference = Math.max(...found.map((value, at) => Math.abs(value / (expected[at] as number) - 1)));
  const each = (total: number) => ((total * 1e9) / weights).toFixed(2);
  console.log(
    `| ${name} | ${each(before)} | ${each(seconds)} | ${(before / seconds).toFixed(1)} | ${difference.toExponential(1)} | ${share?.(seconds) ?? ""} |`,
  );
}
await native.close();

async function time(run: Operation["run"], backend: Backend): Promise<number> {
  const started = performance.now();
  await run(backend);
  return (performance.now() - started) / 1e3;
}
