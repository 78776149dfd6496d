/**
 * Tokens to probe on and tokens to try plans on, none of which the verdict is made of: parts of the end of the text,
 * or text sampled from the model with other seeds.
 */
import type { Bench } from "../bench.ts";
import type { EvaluationTokens, LoadedModel } from "../engine/engine.ts";
import { MIN_CHUNKS } from "../evaluate/length-rule.ts";
import { shippedTokens } from "../evaluate/shipped-text.ts";
import { readText, sampleText } from "../evaluate/text.ts";
import type { OpenModel } from "../gguf/model.ts";
import { seedFromName } from "../random.ts";

/** Part of a text that probes may take, and part that trials may. */
const PROBE_SHARE = 1 / 5;
const TRIAL_SHARE = 1 / 4;

export interface TextShares {
  readonly verdict: number;
  readonly trial: number;
  readonly probes: number;
}

/** How a text of so many chunks is divided, from its beginning; undefined where it is too short to be divided. */
export function divideText(chunks: number, most: ProbeTextChunks): TextShares | undefined {
  const probes = Math.min(most.textChunks, Math.floor(chunks * PROBE_SHARE));
  const trial = Math.min(most.trialChunks, Math.floor(chunks * TRIAL_SHARE));
  const isTooShort = Math.floor(chunks * TRIAL_SHARE) < MIN_CHUNKS;
  return isTooShort ? undefined : { verdict: chunks - trial - probes, trial, probes };
}

/** Chunks a probe and a trial of a plan have at most. */
export interface ProbeTextChunks {
  readonly textChunks: number;
  readonly trialChunks: number;
}

export interface ProbeTextRequest extends ProbeTextChunks {
  readonly context: number;
  /** Path of a text file; absent: sampled. */
  readonly text?: string | undefined;
}

export interface ProbeText {
  readonly probes: EvaluationTokens;
  readonly trial: EvaluationTokens;
  /** What is left of the text for the verdict; absent: all of it. */
  readonly verdictChunks?: number | undefined;
  readonly source: "file" | "sampled" | "shipped";
}

/** Divide the text, or sample one for probes and one for trials where there is none or too little. */
export async function readProbeText(
  model: LoadedModel,
  source: OpenModel,
  request: ProbeTextRequest,
  bench: Bench,
): Promise<ProbeText> {
  const { context, text, textChunks, trialChunks } = request;
  if (text !== undefined) {
    const { tokens } = await readText(model, text, context, undefined);
    const shares = divideText(tokens.chunks, request);
    if (shares !== undefined) {
      const { verdict, trial } = shares;
      return {
        probes: spreadOut(cutChunks(tokens, verdict + trial, tokens.chunks)),
        trial: cutChunks(tokens, verdict, verdict + trial),
        verdictChunks: verdict,
        source: "file",
      };
    }
  }
  const sample = async (what: string, chunks: number) => {
    const { tokens } = await sampleText(
      model,
      source,
      { context, chunks, seed: seedFromName(what, bench.seed) },
      bench,
    );
    return tokens;
  };
  return {
    probes: await sample("probes", textChunks),
    trial: trialChunks === 0 ? { context, chunks: 0, ids: new Int32Array() } : await sample("trial", trialChunks),
    source: "sampled",
  };
}

/** The text that comes with PRISM, for models that write none and are judged by other texts. */
export async function shippedProbeText(
  model: LoadedModel,
  { context, textChunks, trialChunks }: ProbeTextRequest,
): Promise<ProbeText> {
  const all = spreadOut(await shippedTokens(model, context));
  return {
    probes: cutChunks(all, 0, textChunks),
    trial: cutChunks(all, textChunks, textChunks + trialChunks),
    source: "shipped",
  };
}

/** Chunks `first` … `end − 1`, as far as there are any. */
export function cutChunks({ context, chunks, ids }: EvaluationTokens, first: number, end: number): EvaluationTokens {
  const last = Math.max(first, Math.min(end, chunks));
  return { context, chunks: last - first, ids: ids.slice(first * context, last * context) };
}

/** The same chunks, so ordered that any number of the first are spread over the text. */
export function spreadOut(tokens: EvaluationTokens): EvaluationTokens {
  const { context, chunks, ids } = tokens;
  const order = spreadOrder(chunks);
  const ordered = new Int32Array(ids.length);
  for (const [to, from] of order.entries())
    ordered.set(ids.subarray(from * context, (from + 1) * context), to * context);
  return { context, chunks, ids: ordered };
}

/** 0 … count − 1 by their bits, lowest first: halves, then quarters, then eighths. */
export function spreadOrder(count: number): number[] {
  const bits = Math.ceil(Math.log2(Math.max(2, count)));
  const reversed = (index: number) => {
    let result = 0;
    for (let bit = 0; bit < bits; bit++) result |= ((index >> bit) & 1) << (bits - 1 - bit);
    return result;
  };
  return Array.from({ length: 2 ** bits }, (_, index) => reversed(index)).filter((index) => index < count);
}
