import { describe, expect, it } from "vitest";
import { UsageError } from "../../src/errors.ts";
import { checkGates, parseGate } from "../../src/run/gates.ts";
import type { RunRow } from "../../src/run/run-document.ts";

const row: RunRow = {
  label: "plan",
  kind: "plan",
  fileBytes: 1000,
  bpw: 4,
  ppl: { value: 20, se: 1 },
  lnPplRatio: { value: Math.log(1.1), se: 0.01 },
  kld: { mean: 0.05, se: 0.001, median: 0.02, p99: 0.5, max: 2 },
};

describe("a gate", () => {
  it.each([
    ["kld<=0.05", 0.05, true],
    ["kld<0.05", 0.05, false],
    ["kld >= 0.05", 0.05, true],
    ["kld>5e-2", 0.05, false],
    ["kldMedian<0.1", 0.02, true],
    ["kldP99<0.1", 0.5, false],
    ["kldMax<3", 2, true],
    ["ppl<20.5", 20, true],
    ["pplRatio<=1.2", 1.1, true],
    ["lnPplRatio<0.01", Math.log(1.1), false],
    ["fileBytes<=1000", 1000, true],
    ["bpw<4", 4, false],
  ] as const)("%s is read and checked", (text, value, met) => {
    const [result] = checkGates([parseGate(text)], row);
    expect(result?.met).toBe(met);
    expect(result?.value).toBeCloseTo(value, 12);
  });

  it("is missed where its value was not measured", () => {
    expect(checkGates([parseGate("sameTop>=0")], row)).toEqual([{ gate: "sameTop>=0", met: false }]);
  });

  it.each(["", "kld", "kld=0.05", "kld<=", "kld<=x", "kld<=Infinity", "<=1", "speed<1", "toString<1", "kld<=1 or so"])(
    "refuses %j with the measures there are",
    (text) => {
      expect(() => parseGate(text)).toThrow(UsageError);
      expect(() => parseGate(text)).toThrow(/--require: .*kld, kldMedian, .*, got "/);
    },
  );
});
