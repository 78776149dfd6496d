/**
 * From scores per token to the figures llama-perplexity prints, by its formulas (mean_and_uncertainty, covariance and
 * percentile of tools/perplexity/perplexity.cpp at v0.5.0): tokens count as independent, standard errors are
 * √(variance / (n − 1)).
 */

import type { TokenScores } from "../engine/engine.ts";
import { present } from "../present.ts";
import type { KldSummary, MeanSe } from "./evaluation.ts";

export function meanSe(values: ArrayLike<number>): MeanSe {
  const n = values.length;
  let sum = 0;
  let sumSquares = 0;
  for (let i = 0; i < n; i++) {
    const value = values[i] as number;
    sum += value;
    sumSquares += value * value;
  }
  const value = sum / n;
  const variance = sumSquares / n - value * value;
  return { value, se: n > 1 && variance > 0 ? Math.sqrt(variance / (n - 1)) : 0 };
}

/** Linear interpolation between order statistics; `sorted` ascending, `fraction` in 0 … 1. */
export function percentile(sorted: ArrayLike<number>, fraction: number): number {
  const position = fraction * (sorted.length - 1);
  const below = Math.floor(position);
  const weight = position - below;
  const low = sorted[below] as number;
  return weight === 0 ? low : (1 - weight) * low + weight * (sorted[below + 1] as number);
}

/** PPL = exp(mean nll); its error by the delta method. */
export function perplexity(nll: ArrayLike<number>): MeanSe {
  const { value, se } = meanSe(nll);
  const ppl = Math.exp(value);
  return { value: ppl, se: ppl * se };
}

/** ln(PPL / PPL of the reference) with the covariance of the two taken into account. */
export function lnPplRatio(nll: Float64Array, reference: Float64Array): MeanSe {
  return meanSe(nll.map((value, i) => value - (reference[i] as number)));
}

export function summarizeKld(kld: Float64Array): KldSummary {
  const { value: mean, se } = meanSe(kld);
  const sorted = kld.slice().sort();
  return {
    mean,
    se,
    median: percentile(sorted, 0.5),
    p99: percentile(sorted, 0.99),
    max: sorted[sorted.length - 1] as number,
  };
}

/** Percent of tokens whose most likely token is the reference's, and its binomial error. */
export function summarizeSameTop(sameTop: Uint8Array): { sameTop: number; sameTopSe: number } {
  const share = sameTop.reduce((sum, same) => sum + same, 0) / sameTop.length;
  return { sameTop: 100 * share, sameTopSe: 100 * Math.sqrt((share * (1 - share)) / (sameTop.length - 1)) };
}

/** Mean of each chunk's tokens. */
export function chunkMeans(values: Float64Array, chunks: number): number[] {
  const perChunk = values.length / chunks;
  return Array.from(
    { length: chunks },
    (_, chunk) => meanSe(values.subarray(chunk * perChunk, (chunk + 1) * perChunk)).value,
  );
}

/** One after another: the scores of consecutive runs of chunks. */
export function concatScores(parts: readonly TokenScores[]): TokenScores {
  const doubles = (pick: (part: TokenScores) => Float64Array | undefined): Float64Array | undefined => {
    const arrays = parts.map(pick).filter((array) => array !== undefined);
    if (arrays.length === 0) return undefined;
    const joined = new Float64Array(arrays.reduce((length, array) => length + array.length, 0));
    let at = 0;
    for (const array of arrays) {
      joined.set(array, at);
      at += array.length;
    }
    return joined;
  };
  const referenceNll = doubles((part) => part.referenceNll);
  const kld = doubles((part) => part.kld);
  const sameTop = Buffer.concat(parts.map((part) => part.sameTop ?? new Uint8Array()));
  return {
    nll: doubles((part) => part.nll) ?? new Float64Array(),
    ...present({ referenceNll }),
    ...(kld === undefined ? {} : { kld, sameTop }),
  };
}

/** Mean difference of two models over the same chunks, with the standard error between chunks. */
export function pairedDifference(a: readonly number[], b: readonly number[]): MeanSe {
  const n = Math.min(a.length, b.length);
  return meanSe(Array.from({ length: n }, (_, i) => (a[i] as number) - (b[i] as number)));
}
