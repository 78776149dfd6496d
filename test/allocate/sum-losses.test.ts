import { expect, test } from "vitest";
import { sumLosses } from "../../src/allocate/sum-losses.ts";
import { seeded } from "./random-problem.ts";

/** The sum as a rational with denominator 2^1074, rounded once by Number(). */
function exactSum(losses: readonly number[]): number {
  const scale = 2n ** 200n;
  const scaled = losses.reduce((sum, loss) => sum + BigInt(loss * 2 ** 120) * 2n ** 80n, 0n);
  const digits = scaled.toString(2).length;
  const shift = BigInt(Math.max(0, digits - 60));
  const sticky = (scaled >> shift) | (scaled % (1n << shift) === 0n ? 0n : 1n);
  return (Number(sticky) * 2 ** Number(shift)) / Number(scale);
}

test("sums are exact to the last bit, in any order", () => {
  const random = seeded(6);
  for (let round = 0; round < 2000; round++) {
    const losses = Array.from({ length: 1 + Math.floor(random() * 12) }, () => {
      const loss = random() * 10 ** (24 * (random() - 0.5));
      return round % 2 === 0 ? loss : Math.fround(loss);
    });
    expect(sumLosses(losses)).toBe(exactSum(losses));
    expect(sumLosses(losses.reverse())).toBe(exactSum(losses));
  }
});

test("half way between two doubles goes where the rest points", () => {
  expect(sumLosses([1, 2 ** -53])).toBe(1);
  expect(sumLosses([1, 2 ** -53, 2 ** -120])).toBe(1 + 2 ** -52);
  expect(sumLosses([1e12, ...Array.from({ length: 1000 }, () => 1e-6)])).toBe(1e12 + 1e-3);
  expect(sumLosses([])).toBe(0);
});
