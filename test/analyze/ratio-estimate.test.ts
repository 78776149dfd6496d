import { describe, expect, test } from "vitest";
import { estimateRatio } from "../../src/analyze/ratio-estimate.ts";
import { orderBands, rowLayout } from "../../src/analyze/sampling.ts";
import { createNormal, createRandom } from "../../src/random.ts";

interface Population {
  readonly error: readonly number[];
  readonly power: readonly number[];
}

/** Bands whose power is log-normal and drifts along the tensor, with a relative error that is log-normal too. */
function heavyTailed(bands: number, seed: number, spread: number): Population {
  const normal = createNormal(createRandom(seed));
  const power = Array.from({ length: bands }, (_, band) => Math.exp(0.8 * normal() + band / bands));
  return { power, error: power.map((value) => 5e-3 * value * Math.exp(spread * normal())) };
}

function sample(population: Population, perStratum: number, seed: number) {
  const order = orderBands(rowLayout([64, population.power.length]), "tensor", seed, {
    bandRows: 1,
    strata: 4,
    firstBands: 4,
  });
  return order.strata.map((bands) => ({
    population: bands.length,
    error: bands.slice(0, perStratum).map((band) => population.error[band] as number),
    power: bands.slice(0, perStratum).map((band) => population.power[band] as number),
  }));
}

const ratio = ({ error, power }: Population) => error.reduce((a, b) => a + b) / power.reduce((a, b) => a + b);

describe.each([
  ["a small tensor", 40, 0.15],
  ["a large tensor", 600, 0.15],
  ["a large tensor of unlike rows", 600, 0.3],
])("%s", (_, bands, spread) => {
  test.each([4, 8])(
    "from %i bands a stratum the exact value lies within 1 SE 60 to 76 times in 100, within 2 SE 92 to 98",
    (perStratum) => {
      let within1 = 0;
      let within2 = 0;
      const trials = 2000;
      for (let trial = 0; trial < trials; trial++) {
        const population = heavyTailed(bands, trial, spread);
        const { value, se } = estimateRatio(sample(population, perStratum, trial));
        const z = Math.abs(value - ratio(population)) / se;
        if (z <= 1) within1++;
        if (z <= 2) within2++;
      }
      expect(within1 / trials).toBeGreaterThan(0.6);
      expect(within1 / trials).toBeLessThan(0.76);
      expect(within2 / trials).toBeGreaterThan(0.92);
      expect(within2 / trials).toBeLessThan(0.98);
    },
  );
});

test("a sample of everything is exact and has no standard error", () => {
  const population = heavyTailed(40, 1, 0.5);
  const { value, se } = estimateRatio(sample(population, 40, 1));
  expect(value).toBeCloseTo(ratio(population), 14);
  expect(se).toBe(0);
});

test("the expectation over many samples is the exact ratio", () => {
  const population = heavyTailed(200, 7, 0.4);
  const estimates = Array.from({ length: 2000 }, (_, seed) => estimateRatio(sample(population, 8, seed)).value);
  const mean = estimates.reduce((a, b) => a + b) / estimates.length;
  expect(Math.abs(mean / ratio(population) - 1)).toBeLessThan(0.005);
});

test("proportional errors have no standard error", () => {
  const { power } = heavyTailed(200, 3, 0.1);
  const { value, se } = estimateRatio(sample({ power, error: power.map((p) => p / 4) }, 4, 1));
  expect(value).toBeCloseTo(0.25, 14);
  expect(se).toBeLessThan(1e-15);
});

test("one band with most of the power leaves the ratio unknown", () => {
  const power = Array.from({ length: 40 }, (_, band) => (band === 12 ? 1e6 : 1));
  const error = power.map((value) => value / 100);
  const perfect = sample({ power, error }, 9, 2);
  expect(perfect.some((stratum) => stratum.power.includes(1e6))).toBe(true);
  expect(estimateRatio(perfect)).toEqual({ value: expect.closeTo(0.01, 10), se: expect.closeTo(0.01, 10) });
});

test("a population without power has the ratio 0", () => {
  const zeros = Array.from({ length: 40 }, () => 0);
  expect(estimateRatio(sample({ power: zeros, error: zeros }, 4, 1))).toEqual({ value: 0, se: 0 });
});
