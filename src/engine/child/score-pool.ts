/** Spreads the rows of a decoded batch over threads: those of the native kernels, or workers and the calling thread. */
import { Worker } from "node:worker_threads";
import { entryPoint } from "../../entry.ts";
import type { NativeLibrary } from "../../kernels/native-library.ts";
import { nativeScoreRows } from "./native-score-rows.ts";
import { type ScoreTask, scoreRows } from "./score-rows.ts";

export interface ScorePool {
  run(task: ScoreTask): Promise<void>;
}

/**
 * A pool that uses `threads` threads, the caller's included. Its workers, which only TypeScript needs, never keep the
 * process alive.
 */
export function createScorePool(threads: number, native: NativeLibrary | undefined): ScorePool {
  if (native !== undefined) return { run: async (task) => nativeScoreRows(native, task, threads) };
  const entry = entryPoint("./score-worker", import.meta.url);
  const workers = Array.from({ length: threads - 1 }, () => {
    // Not piped to this process's own stderr: that would make it non-blocking, and the library's log would lose lines.
    const worker = new Worker(entry, { stdout: true, stderr: true });
    worker.unref();
    return worker;
  });
  return {
    async run(task) {
      const others = workers.map((worker, index) => runOn(worker, task, index + 1, threads));
      scoreRows(task, 0, threads);
      await Promise.all(others);
    },
  };
}

function runOn(worker: Worker, task: ScoreTask, part: number, parts: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const finish = (error?: Error) => {
      worker.off("message", onMessage);
      worker.off("error", finish);
      worker.unref();
      if (error === undefined) resolve();
      else reject(error);
    };
    const onMessage = () => finish();
    worker.ref();
    worker.on("message", onMessage);
    worker.on("error", finish);
    worker.postMessage({ task, part, parts });
  });
}
