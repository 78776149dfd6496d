import { describe, expect, it } from "vitest";
import { createNormal, createRandom, seedFromName, shuffled } from "../src/random.ts";

describe("random", () => {
  it("gives the same numbers for the same seed and others for another seed", () => {
    const draw = (seed: number) => Array.from({ length: 5 }, createRandom(seed));
    expect(draw(7)).toEqual(draw(7));
    expect(draw(7)).not.toEqual(draw(8));
  });

  it("is uniform on [0, 1)", () => {
    const random = createRandom(1);
    const counts = new Array<number>(10).fill(0);
    for (let index = 0; index < 100_000; index++) {
      const value = random();
      expect(value >= 0 && value < 1).toBe(true);
      const bin = Math.floor(value * 10);
      counts[bin] = (counts[bin] ?? 0) + 1;
    }
    for (const count of counts) expect(Math.abs(count - 10_000)).toBeLessThan(500);
  });

  it("derives different seeds from neighbouring names and from neighbouring run seeds", () => {
    const seeds = new Set<number>();
    for (let layer = 0; layer < 100; layer++) {
      for (let seed = 0; seed < 10; seed++) seeds.add(seedFromName(`blk.${layer}.attn_q.weight`, seed));
    }
    expect(seeds.size).toBe(1000);
    expect(seedFromName("output.weight", 3)).toBe(seedFromName("output.weight", 3));
  });

  it("draws normal numbers of mean 0 and variance 1", () => {
    const normal = createNormal(createRandom(2));
    let sum = 0;
    let power = 0;
    for (let index = 0; index < 100_000; index++) {
      const value = normal();
      sum += value;
      power += value * value;
    }
    expect(sum / 100_000).toBeCloseTo(0, 1);
    expect(power / 100_000).toBeCloseTo(1, 1);
  });

  it("permutes without losing an item", () => {
    const items = Array.from({ length: 50 }, (_, index) => index);
    const permuted = shuffled(items, createRandom(3));
    expect(permuted).not.toEqual(items);
    expect(permuted.toSorted((a, b) => a - b)).toEqual(items);
  });
});
