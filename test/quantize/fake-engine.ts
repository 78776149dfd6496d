/** An engine whose quantize() does what a test says, in the place of llama.cpp. */
import type { Engine, QuantizeJob } from "../../src/engine/engine.ts";

const refuse = () => Promise.reject(new Error("not part of this test"));

/** `write` is given each job and fills its output; the jobs are kept in order. */
export function fakeEngine(write: (job: QuantizeJob) => Promise<void>): Engine & { readonly jobs: QuantizeJob[] } {
  const jobs: QuantizeJob[] = [];
  return {
    jobs,
    info: { kind: "embedded", version: "fake", origin: "test", devices: [] },
    library: {
      roundTrip: refuse,
      rewrite: refuse,
      load: refuse,
      tryLoad: async () => ({ loads: true }),
      loadRanker: refuse,
    },
    close: () => Promise.resolve(),
    async quantize(job) {
      jobs.push(job);
      await write(job);
      return { tensors: [] };
    },
  };
}
