/**
 * Keeps the weights in memory within a budget: a tensor begins when what it will hold at most fits beside the others.
 * What else a process takes (node, libggml, a job of 1 MiB per engine process with its decoded copy) comes on top and does
 * not grow with the model; docs/performance.md has it measured.
 */
import { FormatError, UsageError } from "../errors.ts";
import { rowBytes } from "../ggml/tensor-types.ts";
import type { TensorInfo } from "../gguf/model.ts";
import { JOB_BYTES } from "./band-sums.ts";
import { PIECE_BYTES } from "./metric-sample.ts";
import { METRIC_PAIRS, rowLayout, SAMPLING_DESIGN } from "./sampling.ts";

export const DEFAULT_MEMORY_BYTES = 2 ** 30;

/** Two of the largest pieces of an F32 tensor and what is computed from one must fit: six times 64 MiB. */
export const LEAST_MEMORY_BYTES = 6 * PIECE_BYTES;

export interface MemoryBudget {
  /** Run the work once `bytes` are free, in the order given. */
  run<Result>(bytes: number, work: () => Promise<Result>): Promise<Result>;
}

export function createMemoryBudget(totalBytes: number): MemoryBudget {
  const waiting: { bytes: number; start: () => void }[] = [];
  let free = totalBytes;
  function startNext(): void {
    for (let next = waiting[0]; next !== undefined && next.bytes <= free; next = waiting[0]) {
      waiting.shift();
      free -= next.bytes;
      next.start();
    }
  }
  return {
    async run(bytes, work) {
      const own = Math.min(bytes, totalBytes);
      await new Promise<void>((start) => {
        waiting.push({ bytes: own, start });
        startNext();
      });
      try {
        return await work();
      } finally {
        free += own;
        startNext();
      }
    },
  };
}

/** Rows of the tensors with the most, experts of all layers in one, are a tenth of it: each costs some bytes of its own. */
const MAX_ROWS = 2 ** 26;

/** Throw FormatError for a tensor that no memory does for, UsageError for one that `memoryBytes` don't do for. */
export function checkMeasurable(
  path: string,
  tensors: readonly TensorInfo[],
  memoryBytes: number,
  exactMetrics: boolean,
): void {
  for (const tensor of tensors) {
    const rows = tensor.elements / (tensor.shape[0] ?? 1);
    if (rows > MAX_ROWS) {
      throw new FormatError(
        path,
        `tensor ${tensor.name} has ${rows} rows, expected at most ${MAX_ROWS}; no known model has as many, convert it again`,
      );
    }
    const needed = measurementBytes(tensor, exactMetrics);
    if (needed <= memoryBytes) continue;
    throw new UsageError(
      `${path}: measuring tensor ${tensor.name} with its rows of ${tensor.shape[0]} takes ${needed} bytes of memory, --memory allows ${memoryBytes}; give --memory ${Math.ceil(needed / 2 ** 20)}MiB`,
    );
  }
}

/** Bytes that measuring a tensor holds at once: two pieces as stored and decoded, and two copies of one in the kernels. */
export function measurementBytes({ type, shape }: TensorInfo, exactMetrics: boolean): number {
  const columns = shape[0] ?? 1;
  const { bandRows, strata } = SAMPLING_DESIGN;
  const { matrixRows } = rowLayout(shape);
  const sampledRows = Math.min(matrixRows, 2 * bandRows * strata * METRIC_PAIRS);
  const pieceRows = Math.min(matrixRows, Math.ceil(PIECE_BYTES / (columns * Float32Array.BYTES_PER_ELEMENT)));
  const rows = exactMetrics ? pieceRows : sampledRows;
  return rows * (2 * rowBytes(type, columns) + 4 * columns * Float32Array.BYTES_PER_ELEMENT) + JOB_BYTES;
}
