/** How long probes would take, from a short decode of the model: known before anything is copied or sampled. */
import type { Analysis } from "../analyze/analysis.ts";
import type { Bench } from "../bench.ts";
import { requireLibrary } from "../engine/engine.ts";
import { timeChunk } from "../evaluate/clock.ts";
import type { OpenModel } from "../gguf/model.ts";

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
export async function timeProbes(
  source: OpenModel,
  analysis: Analysis,
  context: number,
  { engine, threads, gpuLayers, signal }: Bench,
): Promise<ProbeTime> {
  const layers = engine.programs === undefined ? gpuLayers : 0;
  const loaded = await requireLibrary(engine).load({
    model: source.path,
    context: TIMED_TOKENS,
    threads,
    gpuLayers: layers,
    mapped: layers === 0,
    signal,
  });
  try {
    const ids = Int32Array.from({ length: TIMED_TOKENS }, (_, i) => i % loaded.vocabSize);
    const tokens = { context: TIMED_TOKENS, chunks: 1, ids };
    // the first reads the weights from disk
    await timeChunk(loaded, tokens);
    const chunkMs = ((await timeChunk(loaded, tokens)) * context) / TIMED_TOKENS;
    const rewriteMs = (1000 * analysis.model.elements * REWRITTEN_SHARE) / (REWRITTEN_PER_SECOND * threads);
    return { perProbeMs: CHUNKS_PER_PROBE * chunkMs + rewriteMs, besidesMs: OTHER_CHUNKS * chunkMs };
  } finally {
    await loaded.close();
  }
}
