/**
 * What llama-perplexity prints, parsed by label (v0.5.0; rows may be missing or doubled in other versions). Its exit
 * code says nothing and its output is sometimes cut short, so a report that lacks a figure is no report.
 */
import type { PerplexityReport } from "./engine.ts";

const NUMBER = String.raw`(-?[\d.]+(?:[eE][+-]?\d+)?)`;

/** Fewer scored tokens than this, and llama-perplexity prints no statistics. */
export const MIN_STATISTICS_TOKENS = 100;

/** The report of a plain run ("Final estimate"), or undefined where it is not there. */
export function parseFinalEstimate(output: string): PerplexityReport | undefined {
  const match = new RegExp(`Final estimate: PPL = ${NUMBER} \\+/- ${NUMBER}`).exec(output);
  const chunks = parseChunks(output);
  return match === null || chunks === undefined
    ? undefined
    : { chunks, ppl: { value: Number(match[1]), se: Number(match[2]) } };
}

/** The statistics of a --kl-divergence run, or undefined where any of them is missing. */
export function parseKlDivergence(output: string): PerplexityReport | undefined {
  const pair = (label: string): { value: number; se: number } | undefined => {
    const match = new RegExp(`${label}\\s*:\\s*${NUMBER}\\s*±\\s*${NUMBER}`).exec(output);
    return match === null ? undefined : { value: Number(match[1]), se: Number(match[2]) };
  };
  const single = (label: string): number | undefined => {
    const match = new RegExp(`${label}\\s*:\\s*${NUMBER}`).exec(output);
    return match === null ? undefined : Number(match[1]);
  };
  const chunks = parseChunks(output);
  const ppl = pair("Mean PPL\\(Q\\)");
  const referencePpl = pair("Mean PPL\\(base\\)");
  const lnPplRatio = pair("Mean ln\\(PPL\\(Q\\)/PPL\\(base\\)\\)");
  const kld = pair("Mean\\s+KLD");
  const median = single("Median\\s+KLD");
  const p99 = single("99\\.0%\\s+KLD");
  const max = single("Maximum KLD");
  const sameTop = pair("Same top p");
  if (chunks === undefined || !ppl || !referencePpl || !lnPplRatio || !kld || !sameTop) return undefined;
  if (median === undefined || p99 === undefined || max === undefined) return undefined;
  return {
    chunks,
    ppl,
    referencePpl,
    lnPplRatio,
    kld: { mean: kld.value, se: kld.se, median, p99, max },
    sameTop: sameTop.value,
    sameTopSe: sameTop.se,
  };
}

/** The size of a text that is shorter than two contexts, or undefined where that is not what it complains of. */
export function parseTooShort(output: string): number | undefined {
  const match = /the data file you provided tokenizes to only (\d+) tokens/.exec(output);
  return match === null ? undefined : Number(match[1]);
}

/** The two sizes where the model's vocabulary is not the one of the logits. */
export function parseOtherVocabulary(output: string): { own: number; reference: number } | undefined {
  const match = /inconsistent vocabulary \((\d+) vs (\d+)\)/.exec(output);
  return match === null ? undefined : { reference: Number(match[1]), own: Number(match[2]) };
}

/** Whether a line of level error was logged ("0.00.055.641 E kl_divergence : failed to decode"). */
export function hasErrorLines(output: string): boolean {
  return /^[\d.]+ E /m.test(output);
}

/** Whether the figures came out as NaN or infinity: no other run would give better ones. */
export function hasDamagedFigures(output: string): boolean {
  return /Unexpected negative standard deviation|^\[1\]-?(nan|inf)|Mean\s+(KLD|PPL\(Q\))\s*:\s*-?(nan|inf)/m.test(
    output,
  );
}

function parseChunks(output: string): number | undefined {
  const match = /(?:calculating perplexity|computing) over (\d+) chunks/.exec(output);
  return match === null ? undefined : Number(match[1]);
}
