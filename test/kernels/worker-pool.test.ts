import { afterEach, describe, expect, it } from "vitest";
import { BackendError } from "../../src/errors.ts";
import { WorkerPool } from "../../src/kernels/reference/worker-pool.ts";
import { pooledBackend, referenceBackend } from "../../src/kernels/reference.ts";
import { gaussian, structured } from "./matrices.ts";

const ENTRY = new URL("./worker-entry.mjs", import.meta.url);

describe("worker pool", () => {
  let pool: WorkerPool;
  afterEach(() => pool.close());

  it("gives the results of the calling thread, for more calls than threads", async () => {
    pool = new WorkerPool({ entry: ENTRY, threads: 2 });
    const pooled = pooledBackend(pool);
    const inline = referenceBackend();
    const matrices = [gaussian(70, 130), structured(64, 200), gaussian(33, 65, 9)];
    await Promise.all(
      matrices.map(async (matrix) => {
        expect(await pooled.moments(matrix)).toEqual(await inline.moments(matrix));
        expect(await pooled.osqe(matrix)).toEqual(await inline.osqe(matrix));
        expect(await pooled.sigmaMax(matrix)).toBe(await inline.sigmaMax(matrix));
        const offsets = [0, 7, 31];
        expect(await pooled.windowEigenvalues(matrix, 32, offsets, 1)).toEqual(
          await inline.windowEigenvalues(matrix, 32, offsets, 1),
        );
      }),
    );
    expect(matrices[0]).toEqual(gaussian(70, 130));
  });

  it("reads shared memory in place", async () => {
    pool = new WorkerPool({ entry: ENTRY, threads: 1 });
    const matrix = gaussian(10, 40);
    const data = new Float32Array(new SharedArrayBuffer(matrix.data.byteLength));
    data.set(matrix.data);
    expect(await pool.run("osqe", { ...matrix, data })).toEqual(await referenceBackend().osqe(matrix));
  });

  it("fails the call whose operation throws, and goes on", async () => {
    pool = new WorkerPool({ entry: ENTRY, threads: 1 });
    const bad = { data: new Float32Array(16).fill(Number.NaN), rows: 4, columns: 4 };
    await expect(pool.run("windowEigenvalues", bad, 4, 0, 0)).rejects.toThrow(/no convergence/);
    expect((await pool.run("moments", bad)).nonFinite).toBe(16);
  });

  it("fails the call whose worker dies, every time, and does not hang", async () => {
    pool = new WorkerPool({ entry: new URL("data:text/javascript,process.exit(3)"), threads: 1 });
    const calls = [pool.run("sigmaMax", gaussian(4, 4)), pool.run("sigmaMax", gaussian(4, 4))];
    for (const call of calls) await expect(call).rejects.toThrow(BackendError);
  });

  it("rejects what is queued at close and what comes after", async () => {
    pool = new WorkerPool({ entry: ENTRY, threads: 1 });
    const calls = [pool.run("sigmaMax", gaussian(4, 4)), pool.run("osqe", gaussian(4, 4))];
    const outcomes = Promise.allSettled(calls);
    await pool.close();
    expect((await outcomes).map(({ status }) => status)).toEqual(["rejected", "rejected"]);
    await expect(pool.run("osqe", gaussian(4, 4))).rejects.toThrow(/after close/);
  });
});
