import { describe, expect, it } from "vitest";
import { calibrate, describeParting } from "../../src/run/calibration.ts";
import { knee, survivors } from "../../src/run/front.ts";

const point = (label: string, fileBytes: number, value: number) => ({ label, fileBytes, value });

describe("the front", () => {
  it("keeps what no other point beats, by size", () => {
    const points = [point("d", 400, 0.01), point("b", 200, 0.09), point("c", 300, 0.1), point("a", 100, 0.5)];
    expect(survivors(points).map(({ label }) => label)).toEqual(["a", "b", "d"]);
    const alike = [point("x", 100, 0.2), point("y", 100, 0.1), point("z", 120, 0.1)];
    expect(survivors(alike).map(({ label }) => label)).toEqual(["y"]);
  });

  it("takes sizes within half a percent for one, and keeps the first of equal points", () => {
    const near = [point("a", 1000, 0.2), point("b", 1004, 0.1), point("c", 2000, 0.05), point("d", 2011, 0.04)];
    expect(survivors(near).map(({ label }) => label)).toEqual(["b", "c", "d"]);
    expect(survivors([point("x", 100, 0.1), point("y", 100, 0.1)]).map(({ label }) => label)).toEqual(["x"]);
  });

  it("keeps the ends of a row of sizes that are one size each to the next", () => {
    const row = [point("a", 1000, 0.4), point("b", 1004, 0.3), point("c", 1008, 0.2), point("d", 1012, 0.1)];
    expect(survivors(row).map(({ label }) => label)).toEqual(["b", "d"]);
  });

  it("has its knee where the gain per byte falls most", () => {
    const front = [point("a", 100, 1), point("b", 130, 0.1), point("c", 200, 0.05), point("d", 400, 0.03)];
    expect(knee(front)?.label).toBe("b");
  });

  it("has no knee on a straight line or with two points", () => {
    expect(knee([point("a", 100, 1), point("b", 200, 0.1)])).toBeUndefined();
    const straight = [
      point("a", 100, 1),
      point("b", 200, 0.25),
      point("c", 400, 0.0625 * 1.2),
      point("d", 800, 1 / 64),
    ];
    expect(knee(straight)).toBeUndefined();
  });
});

describe("the calibration", () => {
  const measured = (label: string, predictedLoss: number, kld: number) => ({ label, predictedLoss, kld, se: 0.001 });

  it("of proportional losses has ratios of 1 and no warning", () => {
    const points = [measured("a", 10, 0.5), measured("b", 2, 0.1), measured("c", 1, 0.05)];
    const found = calibrate(points);
    expect(found?.scale).toBeCloseTo(0.05);
    for (const { ratio } of found?.ratios ?? []) expect(ratio).toBeCloseTo(1);
    expect(found && describeParting(points, found)).toEqual([]);
  });

  it("never falls, and names points that part and pairs that are misordered beyond 2 SE", () => {
    const points = [measured("a", 1, 0.05), measured("b", 2, 0.2), measured("c", 3, 0.15)];
    const found = calibrate(points);
    const fit = found?.fit.map(({ kld }) => kld) ?? [];
    expect(fit[1]).toBeCloseTo(Math.sqrt(0.2 * 0.15));
    expect(fit[2]).toBe(fit[1]);
    const warnings = (found && describeParting(points, found)) ?? [];
    expect(warnings[0]).toMatch(/^predicted and measured loss part: .* b 1\.\d\d/);
    expect(warnings[1]).toBe("b was predicted better than c and measured worse");
  });

  it("needs two points", () => {
    expect(calibrate([measured("a", 1, 0.1)])).toBeUndefined();
  });
});
