import { describe, expect, it } from "vitest";
import { createRandom } from "../../src/random.ts";
import { bootstrapMean, familySteps } from "../../src/rerank/rank-family.ts";
import type { Ranking } from "../../src/rerank/ranking-document.ts";

const random = createRandom(7);
/** |Δscore| per query around a mean. */
const around = (mean: number, spread: number) => Array.from({ length: 40 }, () => mean + spread * (random() - 0.5));

const model = (path: string, fileBytes: number, perQuery: number[]) =>
  ({ path, fileBytes, rerank: { fidelity: { perQuery } } }) as unknown as Ranking["models"][number];

describe("the bounds of a mean", () => {
  it("are as far from it as the standard error says", () => {
    const values = around(0.1, 0.05);
    const { value, low, high } = bootstrapMean(values);
    const mean = values.reduce((sum, each) => sum + each, 0) / values.length;
    const variance = values.reduce((sum, each) => sum + (each - mean) ** 2, 0) / values.length;
    const se = Math.sqrt(variance / (values.length - 1));
    expect(value).toBeCloseTo(mean, 12);
    expect((high - low) / (2 * 1.96 * se)).toBeGreaterThan(0.85);
    expect((high - low) / (2 * 1.96 * se)).toBeLessThan(1.1);
    expect(low).toBeLessThan(mean);
    expect(high).toBeGreaterThan(mean);
  });
});

describe("a family of files", () => {
  it("compares each with the next larger one, on the same queries", () => {
    const q8 = around(0.01, 0.004);
    // noise that both share does not hide what is added
    const q4 = q8.map((value) => value + 0.02);
    const q5 = q8.map((value, query) => value + 0.001 * (query % 2 === 0 ? 1 : -1));
    const steps = familySteps([model("q4.gguf", 100, q4), model("q8.gguf", 200, q8), model("q5.gguf", 150, q5)]);
    expect(steps.map(({ smaller, larger }) => [smaller, larger])).toEqual([
      ["q5.gguf", "q8.gguf"],
      ["q4.gguf", "q5.gguf"],
    ]);
    const [same, worse] = steps;
    expect(same?.difference.low).toBeLessThan(0);
    expect(same?.difference.high).toBeGreaterThan(0);
    expect(worse?.difference.low).toBeGreaterThan(0.015);
  });

  it("says nothing of files without a reference", () => {
    const [bare] = familySteps([
      { path: "a", rerank: {} },
      { path: "b", rerank: {} },
    ] as unknown as Ranking["models"]);
    expect(bare).toBeUndefined();
  });
});
