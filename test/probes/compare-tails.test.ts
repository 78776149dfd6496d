import { describe, expect, it } from "vitest";
import { compareTails } from "../../src/probes/compare-tails.ts";
import { createRandom } from "../../src/random.ts";

const random = createRandom(3);
/** Chunks of tokens, most of them small, one in fifty large. */
const chunks = Array.from({ length: 24 }, () =>
  Float64Array.from({ length: 64 }, () => random() * (random() < 0.02 ? 5 : 0.1)),
);
const scaled = (times: number) => chunks.map((chunk) => chunk.map((value) => value * times));

describe("two tails", () => {
  it("are 99th percentiles of all tokens, and their difference has no error where the plans are the same", () => {
    const { unrefined, refined, difference } = compareTails(chunks, chunks);
    const all = chunks.flatMap((chunk) => [...chunk]).sort((a, b) => a - b);
    expect(unrefined).toBeGreaterThan(all[Math.floor(0.985 * all.length)] as number);
    expect(unrefined).toBeLessThan(all[Math.floor(0.995 * all.length)] as number);
    expect({ refined, difference }).toEqual({ refined: unrefined, difference: { value: 0, se: 0 } });
  });

  it("are compared on the same chunks, so that what all tokens share is no error", () => {
    const { unrefined, refined, difference } = compareTails(chunks, scaled(1.2));
    expect(refined / unrefined).toBeCloseTo(1.2, 10);
    expect(difference.value).toBeCloseTo(0.2 * unrefined, 10);
    // a fifth of what the percentile itself is uncertain by
    const alone = compareTails(
      chunks.map((chunk) => chunk.map(() => 0)),
      chunks,
    ).difference.se;
    expect(difference.se).toBeCloseTo(0.2 * alone, 10);
    expect(alone / unrefined).toBeGreaterThan(0.05);
    expect(alone / unrefined).toBeLessThan(1);
  });

  it("are the same whenever they are compared", () => {
    expect(compareTails(chunks, scaled(1.1))).toEqual(compareTails(chunks, scaled(1.1)));
  });
});
