/**
 * How many chunks an evaluation takes (design decision 9): until SE(KLD) ≤ 5 % of KLD or the text ends, never fewer
 * than 20. A pilot of 20 chunks on the first model measures the error; the number it asks for is then used for every
 * model, so that all of them see the same tokens and the logits file holds exactly those.
 */
import type { Bench } from "../bench.ts";
import type { EvaluationTokens, LoadedModel } from "../engine/engine.ts";
import { scoreChunks } from "./score-model.ts";
import { chunkMeans, meanSe, summarizeKld } from "./statistics.ts";
import { aboutSeconds, type EvaluationText, firstChunks } from "./text.ts";

export const MIN_CHUNKS = 20;
export const KLD_RELATIVE_SE = 0.05;
/** More chunks than the pilot asks for: its error estimate is itself uncertain by about a tenth. */
const PILOT_MARGIN = 1.2;

/** A sampled text has no end of its own. */
const MAX_SAMPLED_CHUNKS = 256;

/** Chunks that bring a relative SE measured on `pilot` chunks down to the target. */
export function chunksNeeded(relativeSe: number, pilot: number, available: number): number {
  const wanted = Math.ceil(pilot * (relativeSe / KLD_RELATIVE_SE) ** 2 * PILOT_MARGIN);
  return Math.min(available, Math.max(MIN_CHUNKS, wanted));
}

export interface LengthRule {
  /** Asked for: no rule is needed. */
  readonly chunks?: number | undefined;
  /** Chunks of a text; by default its first. */
  readonly select?: ((tokens: EvaluationTokens, chunks: number) => EvaluationTokens) | undefined;
  /** Where the text is sampled: the same text, at least this long. */
  readonly lengthen?: ((chunks: number) => Promise<EvaluationText>) | undefined;
}

/** The text cut to the chunks that will be scored. */
export async function chooseChunks(
  reference: LoadedModel,
  text: EvaluationText,
  loadPilot: () => Promise<LoadedModel>,
  { chunks: asked, select = firstChunks, lengthen }: LengthRule,
  bench: Bench,
): Promise<EvaluationText> {
  const { tokens } = text;
  if (asked !== undefined || tokens.chunks <= MIN_CHUNKS) return text;
  const model = await loadPilot();
  const started = performance.now();
  const sample = select(tokens, MIN_CHUNKS);
  const { kld } = await scoreChunks(model, sample, MIN_CHUNKS, { loaded: reference }, "pilot", bench).finally(() =>
    model.close(),
  );
  // The pilot decoded each chunk twice: by the reference and by the model.
  const perChunkMs = (performance.now() - started) / (2 * MIN_CHUNKS);
  const scored = kld ?? new Float64Array();
  const { mean, se } = summarizeKld(scored);
  // Tokens of one chunk are alike: where chunks differ more than their tokens explain, the chunks' own spread counts.
  const largest = Math.max(se, meanSe(chunkMeans(scored, MIN_CHUNKS)).se);
  const relativeSe = mean > 0 ? largest / mean : 0;
  const available = lengthen === undefined ? tokens.chunks : MAX_SAMPLED_CHUNKS;
  const chunks = chunksNeeded(relativeSe, MIN_CHUNKS, available);
  bench.progress.note(
    `pilot of ${MIN_CHUNKS} chunks: KLD ${mean.toPrecision(3)} ± ${(100 * relativeSe).toFixed(1)} %; scoring ${chunks} of ${available} chunks, ${aboutSeconds(perChunkMs * chunks)} a model`,
  );
  const whole = chunks > tokens.chunks && lengthen !== undefined ? await lengthen(chunks) : text;
  return { ...whole, tokens: select(whole.tokens, chunks) };
}
