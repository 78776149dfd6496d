/** How long probes would take, from a short decode of the model: known before anything is copied or sampled. */
import type { Analysis } from "../analyze/analysis.ts";
import type { RunOptions } from "../run/run-options.ts";

/** Tokens decoded for the estimate. */
const TIMED_TOKENS = 64;
/** Chunks a probe takes on average (small models of research/refine.ts: 8 to 32). */
const CHUNKS_PER_PROBE = 14;
/** Chunks decoded besides: the reference on both texts, two plans on one, and sampling, which is slower per token. */
const OTHER_CHUNKS = 192;
/** Weights per second and thread that go through Q3_K and back, measured on an AMD EPYC. */
const REWRITTEN_PER_SECOND = 2e7;
/** Part of the weights that an average probe degrades and puts back. */
const REWRITTEN_SHARE = 0.08;

export interface ProbeTime {
  readonly perProbeMs: number;
  readonly besidesMs: number;
}

/** Load the model as it lies and decode a little. */
export async function timeProbes(options: RunOptions, analysis: Analysis, context: number): Promise<ProbeTime> {
  const { engine, model, threads, gpuLayers, signal } = options;
  const loaded = await engine.load({
    model,
    context: TIMED_TOKENS,
    threads,
    gpuLayers: engine.info.kind === "programs" ? 0 : gpuLayers,
    mapped: gpuLayers === 0 || engine.info.kind === "programs",
    ...(signal === undefined ? {} : { signal }),
  });
  try {
    const ids = Int32Array.from({ length: TIMED_TOKENS }, (_, i) => i % loaded.vocabSize);
    const decode = () => loaded.score({ tokens: { context: TIMED_TOKENS, chunks: 1, ids }, first: 0, count: 1 });
    // the first reads the weights from disk
    await decode();
    const started = performance.now();
    await decode();
    const chunkMs = ((performance.now() - started) * context) / TIMED_TOKENS;
    const rewriteMs = (1000 * analysis.model.elements * REWRITTEN_SHARE) / (REWRITTEN_PER_SECOND * threads);
    return { perProbeMs: CHUNKS_PER_PROBE * chunkMs + rewriteMs, besidesMs: OTHER_CHUNKS * chunkMs };
  } finally {
    await loaded.close();
  }
}
