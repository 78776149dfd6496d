/** One probe: chunk after chunk is scored until the KL divergence is known well enough for planning. */
import type { LoadedModel, TokenScores } from "../engine/engine.ts";
import { chunkMeans, concatScores, meanSe } from "../evaluate/statistics.ts";
import type { ProbeSite, ProbeTypes } from "./probe-site.ts";

/**
 * Relative standard error at which a probe ends. An error of ln density costs about half its square of the loss: 10 %
 * cost 0.5 %.
 */
const PROBE_RELATIVE_SE = 0.1;
/** Fewer chunks say too little of their own spread. */
const MIN_PROBE_CHUNKS = 8;

export interface ProbeScore {
  /** Nats. */
  readonly kld: number;
  readonly se: number;
  readonly chunks: number;
}

/** Degrade and score; at least 8 chunks (as many as there are), at most all. */
export function measureProbe(site: ProbeSite, types: ProbeTypes, signal: AbortSignal): Promise<ProbeScore> {
  return site.degrade(types, (model) => scoreUntilKnown(site, model, signal));
}

async function scoreUntilKnown(
  { text: { probes: tokens }, refer }: ProbeSite,
  model: LoadedModel,
  signal: AbortSignal,
): Promise<ProbeScore> {
  const reference = await refer(tokens);
  const parts: TokenScores[] = [];
  let chunks = 0;
  while (chunks < tokens.chunks) {
    const count = Math.min(model.chunksPerBatch, tokens.chunks - chunks);
    parts.push(await model.score({ tokens, first: chunks, count, reference, signal }));
    chunks += count;
    const { kld, se } = summarize(parts, chunks);
    if (chunks >= MIN_PROBE_CHUNKS && se <= PROBE_RELATIVE_SE * kld) break;
  }
  return { ...summarize(parts, chunks), chunks };
}

/** The larger of the errors between tokens and between chunks, whose tokens are alike. */
function summarize(parts: readonly TokenScores[], chunks: number): { kld: number; se: number } {
  const kld = concatScores(parts).kld ?? new Float64Array();
  const { value, se } = meanSe(kld);
  return { kld: value, se: Math.max(se, meanSe(chunkMeans(kld, chunks)).se) };
}
