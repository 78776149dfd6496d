/**
 * The reference backend: TypeScript in 64-bit arithmetic, always there, the oracle of the others. Its own values are
 * held against ml-matrix's SVD and exhaustive searches in test/kernels.
 */
import type { Backend, ProcessorOptions } from "./backend.ts";
import { copyWindow } from "./reference/gram.ts";
import { OPERATIONS } from "./reference/operations.ts";
import { WorkerPool } from "./reference/worker-pool.ts";

/**
 * Create the reference backend. Results do not depend on the number of threads. Run from TypeScript sources, where
 * Node can't start a worker from this file's neighbour, it computes in the calling thread.
 */
export function referenceBackend(options: ProcessorOptions = {}): Backend {
  const threads = options.threads ?? 1;
  if (threads <= 1 || import.meta.url.endsWith(".ts")) return inlineBackend();
  return pooledBackend(new WorkerPool({ entry: new URL("./reference/worker.js", import.meta.url), threads }));
}

function inlineBackend(): Backend {
  return {
    name: "reference",
    description: "TypeScript, 64-bit, 1 thread",
    moments: async (matrix) => OPERATIONS.moments(matrix),
    osqe: async (matrix) => OPERATIONS.osqe(matrix),
    windowEigenvalues: async (matrix, size, columnOffsets, rowOffset) =>
      columnOffsets.map((column) => OPERATIONS.windowEigenvalues(matrix, size, rowOffset, column)),
    sigmaMax: async (matrix) => OPERATIONS.sigmaMax(matrix),
    close: async () => {},
  };
}

/** Create the backend on a pool of workers; closing it closes the pool. */
export function pooledBackend(pool: WorkerPool): Backend {
  return {
    name: "reference",
    description: `TypeScript, 64-bit, ${pool.threads} threads`,
    moments: (matrix) => pool.run("moments", matrix),
    osqe: (matrix) => pool.run("osqe", matrix),
    windowEigenvalues: (matrix, size, columnOffsets, rowOffset) =>
      Promise.all(
        columnOffsets.map((column) => {
          // Only the window travels to the worker. Its numbers came from 32 bits, so they fit there again.
          const data = Float32Array.from(copyWindow(matrix, size, rowOffset, column));
          return pool.run("windowEigenvalues", { data, rows: size, columns: size }, size, 0, 0);
        }),
      ),
    sigmaMax: (matrix) => pool.run("sigmaMax", matrix),
    close: () => pool.close(),
  };
}
