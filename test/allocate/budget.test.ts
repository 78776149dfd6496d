import { expect, test } from "vitest";
import { parseBpw, parseSize } from "../../src/allocate/budget.ts";
import { UsageError } from "../../src/errors.ts";

test.each([
  ["4.3GB", 4_300_000_000],
  ["4.35 GB", 4_350_000_000],
  ["4.3 GiB", Math.floor(4.3 * 2 ** 30)],
  ["4.3gib", Math.floor(4.3 * 2 ** 30)],
  ["800MB", 800_000_000],
  ["1.1kB", 1100],
  ["512 KiB", 524_288],
  [".5TB", 5e11],
  ["1234567", 1_234_567],
  [" 1234567 B ", 1_234_567],
])("reads the size %s as %d bytes", (text, bytes) => {
  expect(parseSize(text)).toBe(bytes);
});

test.each(["0", "0GB", "0.4", "-3GB", "NaN", "", "GB", "4,3GB", "1e9", "4.3.1GB", "4 bits", "9e99", "99999999TB"])(
  "refuses the size %j",
  (text) => {
    expect(() => parseSize(text)).toThrow(UsageError);
  },
);

test("asks which unit is meant by a bare prefix", () => {
  expect(() => parseSize("900M")).toThrow(/"900M": M is ambiguous.*MB.*MiB/);
  expect(() => parseSize("4g")).toThrow(/GB.*GiB/);
});

test("reads bits per weight", () => {
  expect([parseBpw("4"), parseBpw("3.5"), parseBpw(" 3.5 bpw "), parseBpw("32")]).toEqual([4, 3.5, 3.5, 32]);
});

test.each(["0", "-1", "NaN", "", "33", "4GB", "Infinity"])("refuses the bits per weight %j", (text) => {
  expect(() => parseBpw(text)).toThrow(/above 0 and at most 32/);
});
