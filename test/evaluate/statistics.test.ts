import { describe, expect, it } from "vitest";
import {
  chunkMeans,
  concatScores,
  lnPplRatio,
  meanSe,
  pairedDifference,
  percentile,
  perplexity,
  summarizeKld,
  summarizeSameTop,
} from "../../src/evaluate/statistics.ts";

const doubles = (...values: number[]) => Float64Array.from(values);

describe("the statistics of an evaluation", () => {
  it("have √(variance / (n − 1)) as standard error", () => {
    // 1, 2, 3, 6: mean 3, mean of squares 12.5, variance 3.5
    const { value, se } = meanSe([1, 2, 3, 6]);
    expect(value).toBe(3);
    expect(se).toBeCloseTo(Math.sqrt(3.5 / 3), 14);
    expect(meanSe([2])).toEqual({ value: 2, se: 0 });
    expect(meanSe([0.1, 0.1, 0.1]).se).toBeLessThan(1e-8);
  });

  it("give PPL = exp(mean nll) and its error by the delta method", () => {
    const { value, se } = perplexity([1, 2, 3, 6]);
    expect(value).toBeCloseTo(Math.exp(3), 12);
    expect(se).toBeCloseTo(Math.exp(3) * Math.sqrt(3.5 / 3), 12);
  });

  it("give the log ratio an error smaller than the models' own, since they saw the same tokens", () => {
    const { value, se } = lnPplRatio(doubles(1.5, 2.5, 3.5, 6.7), doubles(1, 2, 3, 6));
    expect(value).toBeCloseTo(0.55, 14);
    // differences .5 .5 .5 .7: variance 0.0075
    expect(se).toBeCloseTo(Math.sqrt(0.0075 / 3), 12);
    // llama-perplexity's form: √(se₁² + se₂² − 2·cov)
    const [a, b] = [meanSe([1.5, 2.5, 3.5, 6.7]), meanSe([1, 2, 3, 6])];
    const covariance = ((1.5 + 5 + 10.5 + 40.2) / 4 - a.value * b.value) / 3;
    expect(se).toBeCloseTo(Math.sqrt(a.se ** 2 + b.se ** 2 - 2 * covariance), 12);
  });

  it("interpolate percentiles between order statistics", () => {
    expect(percentile([10, 20, 30, 40], 0.5)).toBe(25);
    expect(percentile([10, 20, 30], 0.5)).toBe(20);
    expect(percentile([0, 10], 0.99)).toBeCloseTo(9.9, 12);
    expect(percentile([3, 4, 5], 0)).toBe(3);
    expect(percentile([3, 4, 5], 1)).toBe(5);
    expect(percentile([7], 0.99)).toBe(7);
  });

  it("summarize divergences without disturbing their order", () => {
    const kld = doubles(0.4, -0.1, 0.2, 0.1);
    const summary = summarizeKld(kld);
    expect(summary.mean).toBeCloseTo(0.15, 14);
    expect(summary.median).toBeCloseTo(0.15, 14);
    expect(summary.max).toBe(0.4);
    expect(summary.p99).toBeCloseTo(0.4 - 0.03 * 0.2, 12);
    expect([...kld]).toEqual([0.4, -0.1, 0.2, 0.1]);
  });

  it("give the share of equal most likely tokens in percent with its binomial error", () => {
    const { sameTop, sameTopSe } = summarizeSameTop(Uint8Array.of(1, 1, 1, 0, 1));
    expect(sameTop).toBe(80);
    expect(sameTopSe).toBeCloseTo(100 * Math.sqrt((0.8 * 0.2) / 4), 12);
  });

  it("average each chunk, and compare models chunk by chunk", () => {
    expect(chunkMeans(doubles(1, 3, 5, 7), 2)).toEqual([2, 6]);
    expect(pairedDifference([3, 5, 7], [1, 2, 3])).toEqual({ value: 3, se: meanSe([2, 3, 4]).se });
    expect(pairedDifference([3, 5, 7], [1, 2]).value).toBe(2.5);
  });

  it("join the scores of consecutive chunks in order", () => {
    const part = (from: number) => ({
      nll: doubles(from, from + 1),
      referenceNll: doubles(-from, -from),
      kld: doubles(from / 10),
      sameTop: Uint8Array.of(from % 2),
    });
    const joined = concatScores([part(1), part(2)]);
    expect([...joined.nll]).toEqual([1, 2, 2, 3]);
    expect([...(joined.referenceNll ?? [])]).toEqual([-1, -1, -2, -2]);
    expect([...(joined.kld ?? [])]).toEqual([0.1, 0.2]);
    expect([...(joined.sameTop ?? [])]).toEqual([1, 0]);
    expect(concatScores([{ nll: doubles(1) }])).toEqual({ nll: doubles(1) });
  });
});
