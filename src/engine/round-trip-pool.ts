/**
 * Spreads round trips over processes that do one at a time. Types whose quantizer first makes large tables (IQ1 and IQ2:
 * 3 to 20 s each, kept by ggml as long as the process lives) have a home among the processes, so that this is paid once.
 */
import { TENSOR_TYPES, type TensorType } from "../ggml/tensor-types.ts";
import type { RoundTripJob, RoundTripResult } from "./engine.ts";

/** Called with the number of the process that has become free. */
type Start = (worker: number) => void;
type Perform = (job: RoundTripJob) => Promise<RoundTripResult>;

/** Create the pool over one function per process. */
export function createRoundTripPool(workers: readonly Perform[]): { run(job: RoundTripJob): Promise<RoundTripResult> } {
  const idle = new Set(workers.keys());
  const anywhere: Start[] = [];
  const atHome = workers.map((): Start[] => []);

  function dispatch(worker: number): void {
    const next = atHome[worker]?.shift() ?? anywhere.shift();
    if (next === undefined) idle.add(worker);
    else next(worker);
  }

  async function perform(job: RoundTripJob, home: number | undefined): Promise<RoundTripResult> {
    const worker = await new Promise<number>((start) => {
      (home === undefined ? anywhere : (atHome[home] as Start[])).push(start);
      const free = home ?? [...idle][0];
      if (free !== undefined && idle.delete(free)) dispatch(free);
    });
    try {
      return await (workers[worker] as Perform)(job);
    } finally {
      dispatch(worker);
    }
  }

  return {
    async run(job) {
      const parts = [...byHome(job.types, workers.length)].map(([home, types]) => perform({ ...job, types }, home));
      const results = await Promise.all(parts);
      return { ...(results[0] as RoundTripResult), error: Object.assign({}, ...results.map(({ error }) => error)) };
    },
  };
}

/** Types by the process that must measure them; undefined where any may. */
function byHome(types: readonly TensorType[], workers: number): Map<number | undefined, TensorType[]> {
  const parts = new Map<number | undefined, TensorType[]>();
  for (const type of types) {
    // the homes of the slowest are different processes
    const { tables } = TENSOR_TYPES[type];
    const home = tables === undefined || workers === 1 ? undefined : (tables - 1) % workers;
    parts.set(home, [...(parts.get(home) ?? []), type]);
  }
  if (parts.size === 0) parts.set(undefined, []);
  return parts;
}
