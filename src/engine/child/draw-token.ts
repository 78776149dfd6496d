/** Draws the next token from a row of logits at temperature 1. */

/** No token: a logit is NaN or +∞. */
export const NOT_DRAWN = -1;

/** The token where the cumulative probability passes `u` in [0, 1), or NOT_DRAWN. */
export function drawToken(logits: Float32Array, u: number): number {
  let max = Number.NEGATIVE_INFINITY;
  for (const x of logits) if (x > max) max = x;
  let sum = 0;
  for (const x of logits) sum += Math.exp(x - max);
  if (!(sum > 0)) return NOT_DRAWN;
  let left = u * sum;
  let last = 0;
  for (let i = 0; i < logits.length; i++) {
    const share = Math.exp((logits[i] as number) - max);
    if (share === 0) continue;
    last = i;
    left -= share;
    if (left < 0) return i;
  }
  // The rounding of the differences left a remainder.
  return last;
}
