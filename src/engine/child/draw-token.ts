/** Draws the next token from a row of logits at temperature 1: sums of blocks first, then the weights of one block. */

/** No token: a logit is NaN or +∞. */
export const NOT_DRAWN = -1;

/** The same as in native-kernels/src/draw-tokens.cpp. */
const BLOCK = 1024;

/** The token where the cumulative probability passes `u` in [0, 1), or NOT_DRAWN. */
export function drawToken(logits: Float32Array, u: number): number {
  let max = Number.NEGATIVE_INFINITY;
  for (const x of logits) if (x > max) max = x;
  const sums = new Float64Array(Math.ceil(logits.length / BLOCK));
  for (let i = 0; i < logits.length; i++) {
    const block = Math.floor(i / BLOCK);
    sums[block] = (sums[block] as number) + Math.exp((logits[i] as number) - max);
  }
  const sum = sums.reduce((total, share) => total + share, 0);
  if (!(sum > 0)) return NOT_DRAWN;
  let left = u * sum;
  let last = 0;
  for (const [block, share] of sums.entries()) {
    if (share === 0) continue;
    last = block * BLOCK;
    if (left < share) return drawFrom(logits, last, left, max);
    left -= share;
  }
  // The rounding of the differences left a remainder: the likeliest of the last block that counts.
  const rest = logits.subarray(last, last + BLOCK);
  return last + rest.indexOf(Math.max(...rest));
}

function drawFrom(logits: Float32Array, from: number, share: number, max: number): number {
  let left = share;
  let last = from;
  const end = Math.min(logits.length, from + BLOCK);
  for (let i = from; i < end; i++) {
    const weight = Math.exp((logits[i] as number) - max);
    if (weight === 0) continue;
    last = i;
    left -= weight;
    if (left < 0) return i;
  }
  return last;
}
