/** Ranks turned into standard normal scores, so that metrics of any unit and tail can be averaged. */

/** Scores are clipped here; with fewer than 370 values none gets so far. */
const MAX_SCORE = 3;

/** Digits to which values must differ to have different ranks: means over the same layers differ in the last bits. */
const TIE_DIGITS = 9;

/** Newton steps from 0 to the quantile of any rank of fewer than 370 values; it converges quadratically. */
const NEWTON_STEPS = 20;

/** Score each value Φ⁻¹((rank − ½)/n), ties sharing their mean rank, clipped to ±3. */
export function rankNormalScores(values: readonly number[]): number[] {
  const rounded = values.map((value) => Number(value.toPrecision(TIE_DIGITS)));
  return rounded.map((value) => {
    const below = rounded.filter((other) => other < value).length;
    const equal = rounded.filter((other) => other === value).length;
    const share = (below + equal / 2) / rounded.length;
    return Math.min(MAX_SCORE, Math.max(-MAX_SCORE, normalQuantile(share)));
  });
}

/** Invert the standard normal distribution function by Newton's method; 0 < share < 1. */
function normalQuantile(share: number): number {
  let quantile = 0;
  for (let step = 0; step < NEWTON_STEPS; step++) {
    const density = Math.exp(-(quantile ** 2) / 2) / Math.sqrt(2 * Math.PI);
    quantile -= (normalDistribution(quantile, density) - share) / density;
  }
  return quantile;
}

/** Φ(x) = ½ + φ(x)·(x + x³/3 + x⁵/(3·5) + …), Marsaglia 2004. */
function normalDistribution(x: number, density: number): number {
  let term = x;
  let sum = x;
  for (let odd = 3; Math.abs(term) > Number.EPSILON * Math.abs(sum); odd += 2) {
    term *= (x * x) / odd;
    sum += term;
  }
  return 0.5 + sum * density;
}
