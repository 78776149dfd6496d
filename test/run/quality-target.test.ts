import { describe, expect, it } from "vitest";
import { MAX_EVALUATIONS, meets, nextLoss, smallestMet, type TargetPoint } from "../../src/run/quality-target.ts";

const TARGET = { measure: "kld", limit: 0.05 } as const;

/** A model whose KLD is not quite proportional to the predicted loss, and whose bytes fall with its logarithm. */
function measureAt(predictedLoss: number, relativeSe = 0.02): TargetPoint {
  const value = 0.004 * predictedLoss ** 1.2;
  return { predictedLoss, value, se: relativeSe * value, fileBytes: Math.round(1e6 * (12 - Math.log(predictedLoss))) };
}

function search(start: number, measure = measureAt): TargetPoint[] {
  const points = [measure(start)];
  for (let loss = nextLoss(TARGET, points); loss !== undefined; loss = nextLoss(TARGET, points)) {
    points.push(measure(loss));
  }
  return points;
}

describe("the search for a quality", () => {
  it("finds a file within half a percent of the smallest in a few evaluations, from either side", () => {
    // 0.004 x^1.2 · 1.02 = 0.05
    const smallest = measureAt((0.05 / (0.004 * 1.02)) ** (1 / 1.2)).fileBytes;
    for (const start of [0.5, 4, 30, 300]) {
      const points = search(start);
      const best = smallestMet(TARGET, points);
      expect(best?.fileBytes).toBeGreaterThanOrEqual(smallest - 1);
      expect(best?.fileBytes).toBeLessThan(smallest * 1.005);
      expect(points.length).toBeLessThanOrEqual(5);
    }
  });

  it("takes as met only what is so with one standard error to spare", () => {
    expect(meets(TARGET, { value: 0.049, se: 0.0009 })).toBe(true);
    expect(meets(TARGET, { value: 0.0495, se: 0.0009 })).toBe(false);
    const ratio = { measure: "pplRatio", limit: 1.02 } as const;
    expect(meets(ratio, { value: Math.log(1.015), se: 0.004 })).toBe(true);
    expect(meets(ratio, { value: Math.log(1.019), se: 0.004 })).toBe(false);
  });

  it("ends where every evaluation misses, and where the smallest file is good enough", () => {
    const hopeless = search(1, (loss) => ({ ...measureAt(loss), value: 0.2, se: 0.001 }));
    expect(hopeless.length).toBe(2 * MAX_EVALUATIONS);
    expect(smallestMet(TARGET, hopeless)).toBeUndefined();
    const easy = search(1, (loss) => ({ ...measureAt(loss), value: -0.001, se: 0.001 }));
    expect(easy.length).toBe(MAX_EVALUATIONS);
  });
});
