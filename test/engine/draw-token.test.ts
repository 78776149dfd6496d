import { describe, expect, it } from "vitest";
import { drawToken, NOT_DRAWN } from "../../src/engine/child/draw-token.ts";
import { createNormal, createRandom } from "../../src/random.ts";

describe("a token drawn from logits", () => {
  it("comes as often as its probability says, over several blocks", () => {
    const logits = new Float32Array(3000).fill(Number.NEGATIVE_INFINITY);
    const odds = new Map([
      [0, 1],
      [1023, 2],
      [1024, 3],
      [2999, 4],
    ]);
    for (const [token, weight] of odds) logits[token] = 50 + Math.log(weight);
    const random = createRandom(4);
    const counts = new Map<number, number>();
    const draws = 20_000;
    for (let draw = 0; draw < draws; draw++) {
      const token = drawToken(logits, random());
      counts.set(token, (counts.get(token) ?? 0) + 1);
    }
    expect([...counts.keys()].sort((a, b) => a - b)).toEqual([...odds.keys()]);
    for (const [token, weight] of odds) {
      const expected = weight / 10;
      const se = Math.sqrt((expected * (1 - expected)) / draws);
      expect(Math.abs((counts.get(token) ?? 0) / draws - expected)).toBeLessThan(4 * se);
    }
  });

  it("is where the cumulative probability passes the number", () => {
    const normal = createNormal(createRandom(5));
    const logits = Float32Array.from({ length: 2100 }, () => 3 * normal());
    const weights = Float64Array.from(logits, Math.exp);
    const total = weights.reduce((sum, weight) => sum + weight, 0);
    let below = 0;
    for (const [token, weight] of weights.entries()) {
      // just inside of its share
      if (weight / total > 1e-6) expect(drawToken(logits, (below + weight / 2) / total)).toBe(token);
      below += weight;
    }
  });

  it.each([
    [0, 0],
    [1 - Number.EPSILON / 2, 1999],
  ])("is the first or last one at the ends of the interval: %d", (u, token) => {
    expect(drawToken(new Float32Array(2000), u)).toBe(token);
  });

  it.each([Number.NaN, Number.POSITIVE_INFINITY])("can't be drawn where a logit is %d", (value) => {
    const logits = new Float32Array(1500);
    logits[1200] = value;
    expect(drawToken(logits, 0.3)).toBe(NOT_DRAWN);
    expect(drawToken(new Float32Array(3).fill(Number.NEGATIVE_INFINITY), 0.3)).toBe(NOT_DRAWN);
  });
});
