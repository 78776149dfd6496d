/**
 * The native backend: the C++ library of native-kernels/, called through koffi on threads of its own. A fault in it
 * would end the process, so lengths and offsets are checked here, before a call. It is used only where it passes a
 * self-check against the reference.
 */
import { availableParallelism } from "node:os";
import { BackendError } from "../errors.ts";
import type { Backend, Matrix, Moments, OsqeSums, ProcessorOptions } from "./backend.ts";
import { BOUNDARY_DELTA } from "./backend.ts";
import { checkMatrix, checkWindows } from "./check-arguments.ts";
import { countWeights, type DecodableType } from "./decode.ts";
import { type Argument, callAsync, type NativeLibrary, openLibrary, STATUS } from "./native-library.ts";
import { selfCheckProblem } from "./native-self-check.ts";
import { ThreadBudget } from "./thread-budget.ts";

/** Weights of OSQE that are worth a thread: half a millisecond, ten times what starting one takes (measured). */
const THREAD_WEIGHTS = 131_072;
/** Weights of `moments` that take as long as one of OSQE (measured, bench/kernels.ts). */
const MOMENTS_PER_OSQE = 20;
/** Weights of `decode` that do. */
const DECODE_PER_OSQE = 20;
/** Windows that a thread solves together, whatever the instruction set (native-kernels/src/kernels.h, EIGEN_LANES). */
const WINDOWS_PER_THREAD = 8;
/** Calls under way at once at most: koffi queues 256. */
const MAX_THREADS = 128;

/** Create the native backend. Throws BackendError, with the remedy, where the library can't be used. */
export function nativeBackend(options: ProcessorOptions = {}): Backend {
  const library = openLibrary();
  const problem = typeof library === "string" ? library : selfCheckProblem(library);
  if (typeof library === "string" || problem !== undefined) throw new BackendError(`native backend: ${problem}`);
  return new NativeBackend(library, Math.max(1, Math.min(options.threads ?? availableParallelism(), MAX_THREADS)));
}

/** Why there is no native backend here, or undefined where there is one. Loads and checks the library. */
export function nativeBackendProblem(): string | undefined {
  const library = openLibrary();
  return typeof library === "string" ? library : selfCheckProblem(library);
}

class NativeBackend implements Backend {
  readonly name = "native";
  readonly description: string;
  readonly #library: NativeLibrary;
  readonly #budget: ThreadBudget;
  #closed = false;

  constructor(library: NativeLibrary, threads: number) {
    this.#library = library;
    this.#budget = new ThreadBudget(threads);
    this.description = `C++, ${library.isa}, ${threads} thread${threads === 1 ? "" : "s"}`;
  }

  async decode(type: DecodableType, bytes: Uint8Array): Promise<Float32Array> {
    const count = countWeights(type, bytes);
    const weights = new Float32Array(count);
    if (type === "F32") new Uint8Array(weights.buffer).set(bytes);
    else {
      const brain = type === "BF16" ? 1 : 0;
      const worth = count / DECODE_PER_OSQE / THREAD_WEIGHTS;
      await this.#run("decode", worth, (threads) => [brain, bytes, count, threads, weights]);
    }
    return weights;
  }

  async moments(matrix: Matrix): Promise<Moments> {
    checkMatrix("native", matrix);
    const { data, rows, columns } = matrix;
    const rowPower = new Float64Array(rows);
    const columnPower = new Float64Array(columns);
    const nonFinite = new Float64Array(1);
    await this.#run("moments", data.length / MOMENTS_PER_OSQE / THREAD_WEIGHTS, (threads) => [
      ...[data, rows, columns, threads],
      ...[rowPower, columnPower, nonFinite],
    ]);
    return { rowPower, columnPower, nonFinite: nonFinite[0] as number };
  }

  async osqe(matrix: Matrix): Promise<OsqeSums> {
    checkMatrix("native", matrix);
    const { data, rows, columns } = matrix;
    const sums = new Float64Array(7);
    await this.#run("osqe", data.length / THREAD_WEIGHTS, (threads) => [data, rows, columns, threads, sums]);
    const [power, two, three, four, six, near, onGrid] = sums as unknown as Seven;
    const error = { 2: two, 3: three, 4: four, 6: six };
    return { power, error, boundary: { near, expected: 2 * BOUNDARY_DELTA * onGrid } };
  }

  async windowEigenvalues(
    matrix: Matrix,
    size: number,
    columnOffsets: readonly number[],
    rowOffset: number,
  ): Promise<Float64Array[]> {
    checkWindows("native", matrix, size, columnOffsets, rowOffset);
    const { data, rows, columns } = matrix;
    const count = columnOffsets.length;
    const values = new Float64Array(count * size);
    const offsets = BigInt64Array.from(columnOffsets, BigInt);
    await this.#run("windowEigenvalues", count / WINDOWS_PER_THREAD, (threads) => [
      ...[data, rows, columns, size, offsets, count, rowOffset],
      ...[threads, values],
    ]);
    return columnOffsets.map((_, index) => values.slice(index * size, (index + 1) * size));
  }

  async sigmaMax(matrix: Matrix): Promise<number> {
    checkMatrix("native", matrix);
    const { data, rows, columns } = matrix;
    const sigma = new Float64Array(1);
    await this.#run("sigmaMax", data.length / THREAD_WEIGHTS, (threads) => [data, rows, columns, threads, sigma]);
    return sigma[0] as number;
  }

  async close(): Promise<void> {
    this.#closed = true;
    await this.#budget.idle();
  }

  /** Call a function on as many threads as the work is worth, when they are free. */
  async #run(
    name: "decode" | "moments" | "osqe" | "windowEigenvalues" | "sigmaMax",
    worthThreads: number,
    values: (threads: number) => readonly Argument[],
  ): Promise<void> {
    if (this.#closed) throw new BackendError(`native backend: ${name} was called after close`);
    const status = await this.#budget.run(Math.ceil(worthThreads), (threads) =>
      callAsync(this.#library[name], values(threads)),
    );
    if (status !== STATUS.ok) throw new BackendError(`native backend: ${name}: ${meaning(status)}`);
  }
}

type Seven = [number, number, number, number, number, number, number];

function meaning(status: number): string {
  if (status === STATUS.outOfMemory) return "not enough memory; fewer threads need less";
  if (status === STATUS.noConvergence)
    return "eigenvalues: no convergence; does the matrix hold NaN or infinite values?";
  return `it failed with status ${status}; use --backend reference`;
}
