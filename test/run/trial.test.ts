import { describe, expect, it } from "vitest";
import type { Trial } from "../../src/run/run-document.ts";
import { isKept, lackInWords, trialInWords } from "../../src/run/trial.ts";

const trial = (difference: number, tail?: number, guard?: "p99"): Trial => ({
  chunks: 64,
  unrefinedKld: 0.1,
  refinedKld: 0.1 + difference,
  difference: { value: difference, se: 0.001 },
  ...(tail === undefined ? {} : { p99: { unrefined: 1, refined: 1 + tail, difference: { value: tail, se: 0.02 } } }),
  ...(guard === undefined ? {} : { guard }),
});

describe("a trial", () => {
  it("keeps the refined plan where it is better by more than two standard errors", () => {
    expect([-0.0021, -0.0019, 0.01].map((difference) => isKept(trial(difference)))).toEqual([true, false, false]);
  });

  it("asked to guard the 99th percentile, keeps none that is worse there by more than a standard error", () => {
    expect([-0.5, 0.019, 0.021].map((tail) => isKept(trial(-0.01, tail, "p99")))).toEqual([true, true, false]);
    expect(isKept(trial(-0.001, -0.5, "p99"))).toBe(false);
    // nobody asked
    expect(isKept(trial(-0.01, 0.5))).toBe(true);
  });

  it("says what was compared, and what a plan lacks", () => {
    expect(trialInWords(trial(-0.01, 0.5))).toBe("KLD -10.0 % on 64 other chunks, 10.0 standard errors");
    const words = trialInWords(trial(-0.01, 0.5, "p99"));
    expect(words).toMatch(/; its 99th percentile 1\.5 against 1\.0, a difference of 0\.50 ± 0\.020$/);
    expect(lackInWords(trial(-0.01, 0.5, "p99"))).toBe("has a worse 99th percentile");
    expect(lackInWords(trial(-0.001, -0.5, "p99"))).toBe("is not surely better");
  });
});
