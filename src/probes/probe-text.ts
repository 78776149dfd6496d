/**
 * Tokens to probe on and tokens to try plans on, none of which the verdict is made of: parts of the end of the text,
 * or text sampled from the model with other seeds.
 */
import type { Bench } from "../bench.ts";
import type { EvaluationTokens, LoadedModel } from "../engine/engine.ts";
import { MIN_CHUNKS } from "../evaluate/length-rule.ts";
import { readText, sampleText } from "../evaluate/text.ts";
import type { OpenModel } from "../gguf/model.ts";
import { seedFromName } from "../random.ts";

/** Chunks a probe and a trial of a plan have at most. */
const PROBE_CHUNKS = 32;
const TRIAL_CHUNKS = 64;
/** Part of a text that probes may take, and part that trials may. */
const PROBE_SHARE = 1 / 5;
const TRIAL_SHARE = 1 / 4;

export interface TextShares {
  readonly verdict: number;
  readonly trial: number;
  readonly probes: number;
}

/** How a text of so many chunks is divided, from its beginning; undefined where it is too short to be divided. */
export function divideText(chunks: number): TextShares | undefined {
  const probes = Math.min(PROBE_CHUNKS, Math.floor(chunks * PROBE_SHARE));
  const trial = Math.min(TRIAL_CHUNKS, Math.floor(chunks * TRIAL_SHARE));
  return trial < MIN_CHUNKS ? undefined : { verdict: chunks - trial - probes, trial, probes };
}

export interface ProbeTextRequest {
  readonly context: number;
  /** Path of a text file; absent: sampled. */
  readonly text?: string | undefined;
}

export interface ProbeText {
  readonly probes: EvaluationTokens;
  readonly trial: EvaluationTokens;
  /** What is left of the text for the verdict; absent: all of it. */
  readonly verdictChunks?: number | undefined;
  readonly source: "file" | "sampled";
}

/** Divide the text, or sample one for probes and one for trials where there is none or too little. */
export async function readProbeText(
  model: LoadedModel,
  source: OpenModel,
  { context, text }: ProbeTextRequest,
  bench: Bench,
): Promise<ProbeText> {
  if (text !== undefined) {
    const { tokens } = await readText(model, text, context, undefined);
    const shares = divideText(tokens.chunks);
    if (shares !== undefined) {
      const { verdict, trial, probes } = shares;
      return {
        probes: cut(tokens, verdict + trial, probes),
        trial: cut(tokens, verdict, trial),
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
    probes: await sample("probes", PROBE_CHUNKS),
    trial: await sample("trial", TRIAL_CHUNKS),
    source: "sampled",
  };
}

function cut({ context, ids }: EvaluationTokens, first: number, chunks: number): EvaluationTokens {
  return { context, chunks, ids: ids.slice(first * context, (first + chunks) * context) };
}
