import { describe, expect, it } from "vitest";
import { parseTime } from "../../src/run/parse-time.ts";
import {
  decideProbeBudget,
  decideSwaps,
  type ProbeBudgetInput,
  probeTimeMs,
  swapTimeMs,
} from "../../src/run/probe-budget.ts";

const SMALL: ProbeBudgetInput = {
  tensors: 211,
  elements: 135e6,
  context: 512,
  threads: 2,
  onGpu: false,
  sampled: false,
  chunkMs: 2000,
};
const HUGE = { ...SMALL, tensors: 561, elements: 70e9, threads: 16, chunkMs: 130_000 };

describe("the budget of probes", () => {
  it("follows without a wish from the model's size and what computes, not from the load of the moment", () => {
    const budget = decideProbeBudget({}, SMALL);
    expect(budget).toMatchObject({ textChunks: 16, regret: 0.02 });
    // any number of groups; as many as there are tensors would mean each of them alone
    expect(budget).not.toHaveProperty("probes");
    expect(budget?.trialChunks).toBeGreaterThanOrEqual(16);
    expect(decideProbeBudget({}, { ...SMALL, chunkMs: 20_000 })).toEqual(budget);
    const larger = decideProbeBudget({}, { ...SMALL, elements: 2e9, threads: 8 });
    expect(larger?.chunks).toBeLessThan(budget?.chunks ?? 0);
    expect(larger?.chunks).toBeGreaterThan(20);
    expect(decideProbeBudget({}, HUGE)).toBeUndefined();
    expect(decideProbeBudget({}, { ...HUGE, onGpu: true })?.chunks).toBeGreaterThan(50);
  });

  it("probes small models whose texts are sampled too, and leaves a trial its first look", () => {
    const tiny = decideProbeBudget({}, { ...SMALL, tensors: 58, elements: 8e6, context: 256, sampled: true });
    expect(tiny?.trialChunks).toBeGreaterThanOrEqual(16);
    expect(tiny?.chunks).toBeGreaterThan(100);
    expect(decideProbeBudget({}, { ...SMALL, sampled: true })?.trialChunks).toBeGreaterThan(8);
  });

  it("gives the largest model its first probes if the user gives the time, and no trial that decides nothing", () => {
    const half = decideProbeBudget({ timeMs: 30 * 60_000 }, HUGE);
    expect(half).toMatchObject({ textChunks: 1, trialChunks: 0 });
    expect(half?.chunks).toBeGreaterThanOrEqual(9);
    const day = decideProbeBudget({ timeMs: 86_400_000 }, HUGE);
    expect(day?.trialChunks).toBeGreaterThan(16);
    expect(decideProbeBudget({ timeMs: 100_000 }, HUGE)).toBeUndefined();
    for (const hours of [1, 4, 12]) {
      const budget = decideProbeBudget({ timeMs: hours * 3.6e6 }, HUGE);
      expect(budget && probeTimeMs(budget, HUGE)).toBeLessThanOrEqual(hours * 3.6e6);
    }
  });

  it("takes as many probes as are asked for, no more than there are tensors, and within a time too", () => {
    expect(decideProbeBudget({ probes: 14 }, SMALL)).toEqual({
      probes: 14,
      chunks: 56,
      textChunks: 16,
      trialChunks: 64,
    });
    expect(decideProbeBudget({ probes: 1000 }, SMALL)?.probes).toBe(211);
    expect(decideProbeBudget({ probes: 14, timeMs: 60_000 }, SMALL)).toMatchObject({ probes: 14 });
  });
});

describe("a time", () => {
  it("is read as people write it", () => {
    expect(["90s", "30m", "1.5h", "45", 20, "10 min"].map((text) => parseTime("--probe-time", text))).toEqual([
      90_000, 1_800_000, 5_400_000, 45_000, 20_000, 600_000,
    ]);
    for (const bad of ["", "0", "-3m", "3 days", "soon", "1e9h"]) {
      expect(() => parseTime("--probe-time", bad)).toThrow(/--probe-time ".*": expected a time like 90s, 30m or 2h/);
    }
  });
});

describe("the time of swaps", () => {
  const MOVES = 30;
  const of = (input: ProbeBudgetInput) =>
    decideProbeBudget({}, input) as NonNullable<ReturnType<typeof decideProbeBudget>>;
  const TINY = { ...SMALL, tensors: 58, elements: 8e6, context: 256 };

  it("follows without a wish from what is left of the time of probes at the usual speed", () => {
    const auto = { isOn: false, takenMs: 0 };
    expect(decideSwaps(auto, MOVES, of(TINY), TINY)).toBe(16);
    expect(decideSwaps(auto, MOVES, of(TINY), { ...TINY, chunkMs: 1e6 })).toBe(16);
    expect(decideSwaps(auto, MOVES, of(SMALL), SMALL)).toBe(0);
    const gpu = { ...SMALL, elements: 8e9, threads: 16, onGpu: true };
    // weights are quantized on the processor
    expect(decideSwaps(auto, MOVES, of(gpu), gpu)).toBe(0);
    expect(decideSwaps({ ...auto, isOn: true }, MOVES, of(SMALL), SMALL)).toBe(16);
  });

  it("is what is left of the time that was given", () => {
    const budget = of(SMALL);
    const takes = swapTimeMs(MOVES, budget, SMALL);
    expect(takes).toBeGreaterThan(MOVES * 16 * SMALL.chunkMs);
    const asked = { isOn: false, timeMs: 3.6e6 };
    expect(decideSwaps({ ...asked, takenMs: 3.6e6 - takes - 1 }, MOVES, budget, SMALL)).toBe(16);
    expect(decideSwaps({ ...asked, takenMs: 3.6e6 - takes + 1 }, MOVES, budget, SMALL)).toBe(0);
  });
});
