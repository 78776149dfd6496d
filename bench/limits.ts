/** What a processor can do at most, measured in the run that holds kernels against it. */
import { callAsync, type NativeLibrary } from "../src/kernels/native-library.ts";

/** Every rate is the best of this many milliseconds of calls: the machine's other work only adds time. */
const MEASURE_MS = 1500;
/** Calls at least. */
const MIN_CALLS = 3;

/** Numbers of an array that fits no cache: 256 MiB. */
const FAR_NUMBERS = 1 << 26;
/** Multiply-adds of a call: some milliseconds. */
const PEAK_ROUNDS = 200_000;

export interface Limits {
  readonly readBytesPerSecond: number;
  /** Read and written bytes counted. */
  readonly copyBytesPerSecond: number;
  /** Multiplications and additions of fused 64-bit vectors in registers. */
  readonly flopsPerSecond: number;
}

/** Least seconds of several calls. */
export async function fastest(call: () => unknown): Promise<number> {
  let least = Number.POSITIVE_INFINITY;
  const started = performance.now();
  for (let calls = 0; calls < MIN_CALLS || performance.now() - started < MEASURE_MS; calls++) {
    const before = performance.now();
    await call();
    least = Math.min(least, (performance.now() - before) / 1e3);
  }
  return least;
}

/** Measure the limits of `threads` threads; the copy is one thread's. */
export async function measureLimits(library: NativeLibrary, threads: number): Promise<Limits> {
  const from = new Float32Array(FAR_NUMBERS).fill(1);
  const to = new Float32Array(FAR_NUMBERS).fill(2);
  const share = Math.floor(FAR_NUMBERS / threads);
  const parts = Array.from({ length: threads }, (_, part) => from.subarray(part * share, (part + 1) * share));
  const sink = new Float64Array(1);
  const operations = library.peak(PEAK_ROUNDS, sink);
  const peak = await fastest(() => Promise.all(parts.map(() => callAsync(library.peak, [PEAK_ROUNDS, sink]))));
  const read = await fastest(() => Promise.all(parts.map((part) => callAsync(library.read, [part, part.length]))));
  const copy = await fastest(() => to.set(from));
  return {
    readBytesPerSecond: (share * threads * Float32Array.BYTES_PER_ELEMENT) / read,
    copyBytesPerSecond: (2 * from.byteLength) / copy,
    flopsPerSecond: (threads * operations) / peak,
  };
}
