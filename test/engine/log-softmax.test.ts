import { describe, expect, it } from "vitest";
import {
  compareRow,
  encodeRow,
  negativeLogLikelihood,
  type RowComparison,
  recordLength,
} from "../../src/engine/child/log-softmax.ts";
import { createNormal, createRandom } from "../../src/random.ts";

const VOCABULARY = 257;
const top = () => ({ max: 0, argmax: 0, min: 0, logSum: 0 });

function drawRow(seed: number, deviation: number, size = VOCABULARY): Float32Array {
  const normal = createNormal(createRandom(seed));
  return Float32Array.from({ length: size }, () => deviation * normal());
}

/** ln p of every token, in double precision by the definition. */
function logProbabilities(logits: Float32Array): number[] {
  const max = Math.max(...logits);
  const logSum = Math.log(logits.reduce((sum, x) => sum + Math.exp(x - max), 0));
  return Array.from(logits, (x) => x - max - logSum);
}

function compare(reference: Float32Array, model: Float32Array, target = 0): RowComparison {
  const record = new Uint16Array(recordLength(reference.length));
  encodeRow(reference, target, record, top());
  const out = { nll: 0, referenceNll: 0, kld: 0, sameTop: false };
  compareRow(model, target, record, top(), out);
  return out;
}

describe("a row of logits", () => {
  it("gives the negative log likelihood of double arithmetic", () => {
    for (const [seed, deviation] of [
      [1, 0.01],
      [2, 1],
      [3, 12],
      [4, 90],
    ] as const) {
      const row = drawRow(seed, deviation);
      const expected = -(logProbabilities(row)[17] as number);
      expect(Math.abs(negativeLogLikelihood(row, 17, top()) - expected)).toBeLessThan(1e-9 * Math.max(1, expected));
    }
  });

  it("of two tokens gives ln(1 + exp) to 1e-10, however unlikely the other is", () => {
    let worst = 0;
    for (let x = 0; x >= -720; x -= 0.013_7) {
      const row = Float32Array.of(0, x);
      const expected = Math.log1p(Math.exp(row[1] as number));
      worst = Math.max(worst, Math.abs(negativeLogLikelihood(row, 0, top()) - expected));
    }
    expect(worst).toBeLessThan(1e-10);
  });

  it("gives NaN wherever a logit is NaN or +∞, and survives −∞", () => {
    for (const place of [0, 1, 100, VOCABULARY - 1]) {
      for (const damage of [Number.NaN, Number.POSITIVE_INFINITY]) {
        const row = drawRow(5, 1);
        row[place] = damage;
        expect(negativeLogLikelihood(row, 3, top())).toBeNaN();
        expect(compare(drawRow(6, 1), row, 3).kld).toBeNaN();
        expect(compare(row, drawRow(6, 1), 3).referenceNll).toBeNaN();
      }
    }
    const masked = drawRow(5, 1);
    masked[9] = Number.NEGATIVE_INFINITY;
    expect(negativeLogLikelihood(masked, 3, top())).toBeCloseTo(-(logProbabilities(masked)[3] as number), 9);
    expect(negativeLogLikelihood(masked, 9, top())).toBe(Number.POSITIVE_INFINITY);
  });

  it("has its first maximum as the most likely token", () => {
    const tied = Float32Array.of(0, 5, 5, 1);
    const reduced = top();
    negativeLogLikelihood(tied, 0, reduced);
    expect(reduced.argmax).toBe(1);
    expect(compare(tied, Float32Array.of(0, 9, 5, 1)).sameTop).toBe(true);
    expect(compare(tied, Float32Array.of(0, 5, 9, 1)).sameTop).toBe(false);
  });
});

describe("a record of the logits file", () => {
  it("is padded to an even count after its scale and minimum", () => {
    expect(recordLength(256)).toBe(260);
    expect(recordLength(257)).toBe(262);
    expect(recordLength(1)).toBe(6);
  });

  it("holds ln p to half a step of 16/65535 nats above the clamp and the clamp below", () => {
    const row = drawRow(7, 6);
    const record = new Uint16Array(recordLength(VOCABULARY));
    const nll = encodeRow(row, 4, record, top());
    const [scale = 0, minimum = 0] = new Float32Array(record.buffer, 0, 2);
    const exact = logProbabilities(row);
    const floor = Math.max(...exact) - 16;
    expect(exact.some((lnP) => lnP < floor)).toBe(true);
    exact.forEach((lnP, i) => {
      const stored = scale * (record[4 + i] as number) + minimum;
      expect(Math.abs(stored - Math.max(lnP, floor))).toBeLessThan(16 / 65535 / 2 + 4e-6);
    });
    expect(record[VOCABULARY + 4]).toBe(0);
    expect(nll).toBeCloseTo(-(exact[4] as number), 5);
  });

  it("rounds halves to the even step, as llama-perplexity does", () => {
    // max − min = 65535·2⁻¹³ makes the scale a power of two, so that halves are exact.
    const step = 2 ** -13;
    const record = new Uint16Array(recordLength(5));
    encodeRow(Float32Array.of(0, 65_535 * step, 0.5 * step, 1.5 * step, 2.5 * step), 0, record, top());
    expect([...record.subarray(4, 9)]).toEqual([0, 65_535, 0, 2, 2]);
  });

  it("is all zero steps where every logit is the same", () => {
    const record = new Uint16Array(recordLength(4)).fill(7);
    const nll = encodeRow(new Float32Array(4).fill(3), 0, record, top());
    expect([...record.subarray(4)]).toEqual([0, 0, 0, 0]);
    expect(nll).toBeCloseTo(Math.log(4), 6);
    const flat = compare(new Float32Array(4).fill(3), new Float32Array(4).fill(-2));
    expect(flat.kld).toBeCloseTo(0, 6);
    expect(flat.sameTop).toBe(true);
  });
});

describe("the comparison of two rows", () => {
  it("is KL(reference ‖ model) of double arithmetic, to the resolution of the record", () => {
    for (let seed = 10; seed < 20; seed++) {
      const reference = drawRow(seed, 2);
      const noise = drawRow(seed + 100, 0.3);
      const model = reference.map((x, i) => x + (noise[i] as number));
      const p = logProbabilities(reference);
      const q = logProbabilities(model);
      const expected = p.reduce((sum, lnP, i) => sum + Math.exp(lnP) * (lnP - (q[i] as number)), 0);
      const { kld, nll, referenceNll } = compare(reference, model, 30);
      expect(Math.abs(kld - expected)).toBeLessThan(2e-5);
      expect(nll).toBeCloseTo(-(q[30] as number), 9);
      expect(Math.abs(referenceNll + (p[30] as number))).toBeLessThan(16 / 65535);
    }
  });

  it("is nothing for a model and itself", () => {
    for (const deviation of [0.1, 1, 4]) {
      const row = drawRow(40, deviation, 4096);
      const { kld, sameTop } = compare(row, row);
      expect(Math.abs(kld)).toBeLessThan(1e-4);
      expect(sameTop).toBe(true);
    }
  });

  it("leaves out what the reference gives less than e⁻¹⁶", () => {
    const reference = new Float32Array(VOCABULARY).fill(-40);
    reference[0] = 0;
    const model = reference.slice();
    model[5] = -1e30;
    const { kld } = compare(reference, model);
    expect(Math.abs(kld)).toBeLessThan(1e-4);
  });
});
