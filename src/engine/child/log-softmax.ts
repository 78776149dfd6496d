/**
 * The reductions of perplexity and KL divergence over one row of logits, and the 16-bit records of llama.cpp's logits
 * file. Follows log_softmax and process_logits of tools/perplexity/perplexity.cpp: a record is f32 scale, f32 minimum,
 * then one u16 per token with ln p = scale·q + minimum, clamped 16 nats below the most likely token.
 */

/** uint16 values of a record for a vocabulary of this size, padded to an even count. */
export function recordLength(vocabSize: number): number {
  return 2 * Math.floor((vocabSize + 1) / 2) + 4;
}

/** Adding and subtracting it rounds a float32 below 2^22 to the nearest integer, ties to even (nearest_int). */
const ROUNDING = 12_582_912;

/** Nats below the most likely token at which the file clamps. */
const CLAMP_NATS = 16;

/*
 * exp(x) for x ≤ 0 as 2^k · T[i] · (1 + r + r²/2 + r³/6), |r| ≤ 2^-11·ln 2: relative error below 1e-14, several times as
 * fast as Math.exp. Results below 2^-1022 are taken as 0. Written out in the loops that need it.
 */
const STEPS = 1024;
const STEPS_PER_NAT = STEPS / Math.LN2;
const NATS_PER_STEP = Math.LN2 / STEPS;
const SIXTH = 1 / 6;
const FRACTIONS = Float64Array.from({ length: STEPS }, (_, i) => 2 ** (i / STEPS));
const SMALLEST_EXPONENT = 1022;
const POWERS = Float64Array.from({ length: SMALLEST_EXPONENT + 1 }, (_, k) => 2 ** -k);
const SMALLEST_NATS = -700;

export interface RowTop {
  max: number;
  argmax: number;
  min: number;
  /** ln Σ exp(logit − max). */
  logSum: number;
}

/** Maximum (first of equals), minimum and log-sum-exp of a row. */
export function reduceRow(logits: Float32Array, top: RowTop): void {
  let max = logits[0] as number;
  let min = max;
  let argmax = 0;
  for (let i = 1; i < logits.length; i++) {
    const x = logits[i] as number;
    if (x > max) {
      max = x;
      argmax = i;
    } else if (x < min) min = x;
  }
  let sum = 0;
  for (let i = 0; i < logits.length; i++) {
    const x = (logits[i] as number) - max;
    if (x < SMALLEST_NATS) continue;
    const n = (x * STEPS_PER_NAT - 0.5) | 0;
    const r = x - n * NATS_PER_STEP;
    sum += (POWERS[-(n >> 10)] as number) * (FRACTIONS[n & 1023] as number) * (1 + r * (1 + r * (0.5 + r * SIXTH)));
  }
  top.max = max;
  top.min = min;
  top.argmax = argmax;
  top.logSum = Math.log(sum);
}

/** −ln p(target), nats. NaN where a logit is NaN or +∞. */
export function negativeLogLikelihood(logits: Float32Array, target: number, top: RowTop): number {
  reduceRow(logits, top);
  return top.max + top.logSum - (logits[target] as number);
}

const f32 = new Float32Array(2);
const f32AsU16 = new Uint16Array(f32.buffer);

/**
 * Encode a row as a record of the logits file and return −ln p(target). Rounds to float32 wherever llama-perplexity
 * does, so that both write the same file.
 */
export function encodeRow(logits: Float32Array, target: number, record: Uint16Array, top: RowTop): number {
  reduceRow(logits, top);
  const min = Math.max(top.min, Math.fround(top.max - CLAMP_NATS));
  const logSum = Math.fround(top.logSum);
  const scale = Math.fround(Math.fround(top.max - min) / 65535);
  f32[0] = scale;
  f32[1] = Math.fround(Math.fround(min - top.max) - logSum);
  record.set(f32AsU16, 0);
  record.fill(0, scale === 0 ? 4 : 4 + logits.length);
  if (scale !== 0) {
    const inverse = Math.fround(1 / scale);
    for (let i = 0; i < logits.length; i++) {
      const above = Math.fround((logits[i] as number) - min);
      record[4 + i] = above > 0 ? (Math.fround(Math.fround(inverse * above) + ROUNDING) - ROUNDING) | 0 : 0;
    }
  }
  return top.max + logSum - (logits[target] as number);
}

export interface RowComparison {
  nll: number;
  referenceNll: number;
  kld: number;
  sameTop: boolean;
}

/** Compare a row with a reference record: KL(reference ‖ row) over tokens above e^-16, nats. */
export function compareRow(
  logits: Float32Array,
  target: number,
  record: Uint16Array,
  top: RowTop,
  out: RowComparison,
): void {
  reduceRow(logits, top);
  f32AsU16.set(record.subarray(0, 4));
  const scale = f32[0] as number;
  const minimum = f32[1] as number;
  const normalizer = top.max + top.logSum;
  let kld = 0;
  let best = -1;
  let argmax = 0;
  // The record's order is that of its integers: the smallest q that stands for ln p > -16.
  const firstCounted = scale > 0 ? Math.floor((-CLAMP_NATS - minimum) / scale) + 1 : 0;
  const counted = scale > 0 || minimum > -CLAMP_NATS ? firstCounted : 65536;
  for (let i = 0; i < logits.length; i++) {
    const q = record[4 + i] as number;
    if (q > best) {
      best = q;
      argmax = i;
    }
    if (q < counted) continue;
    const lnP = scale * q + minimum;
    const x = Math.min(lnP, 0);
    const n = (x * STEPS_PER_NAT - 0.5) | 0;
    const r = x - n * NATS_PER_STEP;
    const p = (POWERS[-(n >> 10)] as number) * (FRACTIONS[n & 1023] as number) * (1 + r * (1 + r * (0.5 + r * SIXTH)));
    kld += p * (lnP - (logits[i] as number) + normalizer);
  }
  out.nll = normalizer - (logits[target] as number);
  out.referenceNll = -(scale * (record[4 + target] as number) + minimum);
  out.kld = kld;
  out.sameTop = argmax === top.argmax;
}
