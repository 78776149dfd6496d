/** A width for asynchronous work, and a way out of it: what keeps memory bounded and Ctrl-C prompt. */

export interface WorkQueue {
  /** Run the work once a place is free; rejects with its reason as soon as the queue's signal is aborted. */
  run<Result>(work: () => Promise<Result>): Promise<Result>;
}

/** Create a queue that runs at most `width` pieces of work at a time, in the order they were given. */
export function createWorkQueue(width: number, signal?: AbortSignal): WorkQueue {
  const waiting: (() => void)[] = [];
  let free = Math.max(1, width);
  return {
    async run(work) {
      if (free > 0) free--;
      else await new Promise<void>((resolve) => waiting.push(resolve));
      try {
        return await untilAborted(work, signal);
      } finally {
        const next = waiting.shift();
        if (next) next();
        else free++;
      }
    },
  };
}

/** Start the work unless the signal is aborted, and stop waiting for it when the signal is. */
async function untilAborted<Result>(work: () => Promise<Result>, signal: AbortSignal | undefined): Promise<Result> {
  if (!signal) return work();
  signal.throwIfAborted();
  let onAbort = () => {};
  const aborted = new Promise<never>((_, reject) => {
    onAbort = () => reject(signal.reason);
    signal.addEventListener("abort", onAbort, { once: true });
  });
  try {
    return await Promise.race([work(), aborted]);
  } finally {
    signal.removeEventListener("abort", onAbort);
  }
}
