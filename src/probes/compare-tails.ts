/** How badly two plans do where they do worst: the 99th percentiles of their tokens' KL divergence on the same chunks. */
import type { MeanSe } from "../evaluate/evaluation.ts";
import { meanSe, percentile } from "../evaluate/statistics.ts";
import { createRandom } from "../random.ts";

const FRACTION = 0.99;
/** Of the chunks, with replacement: tokens of one chunk are alike, and a percentile has no error by formula. */
const RESAMPLES = 200;
const SEED = 1;

export interface Tails {
  /** Nats. */
  readonly unrefined: number;
  readonly refined: number;
  /** Refined minus unrefined, with the error of a bootstrap over the chunks, the same ones of both. */
  readonly difference: MeanSe;
}

/** KL divergence of every token, chunk by chunk. */
export function compareTails(unrefined: readonly Float64Array[], refined: readonly Float64Array[]): Tails {
  const random = createRandom(SEED);
  const differences = Array.from({ length: RESAMPLES }, () => {
    const drawn = unrefined.map(() => Math.floor(random() * unrefined.length));
    const tail = (chunks: readonly Float64Array[]) => tailOf(drawn.map((chunk) => chunks[chunk] as Float64Array));
    return tail(refined) - tail(unrefined);
  });
  const tails = { unrefined: tailOf(unrefined), refined: tailOf(refined) };
  // the deviation of one resampled difference, not of their mean
  const se = meanSe(differences).se * Math.sqrt(RESAMPLES - 1);
  return { ...tails, difference: { value: tails.refined - tails.unrefined, se } };
}

function tailOf(chunks: readonly Float64Array[]): number {
  const all = new Float64Array(chunks.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const chunk of chunks) {
    all.set(chunk, at);
    at += chunk.length;
  }
  return percentile(all.sort(), FRACTION);
}
