import { describe, expect, test } from "vitest";
import { compilePattern } from "../../src/allocate/compile-pattern.ts";
import { parseConstraint } from "../../src/allocate/patterns.ts";
import { UsageError } from "../../src/errors.ts";

describe("compilePattern", () => {
  test.each([
    ["(a+)+$", `${"a".repeat(40)}!`],
    ["^(a|a)*$", `${"a".repeat(40)}!`],
    ["^(.*)*x", "a".repeat(4000)],
    ["(a?){30}a{30}$", `${"a".repeat(30)}b`],
    ["(.*.*)*=", "blk.0.ffn_down_exps.weight".repeat(20)],
  ])("ends where backtracking would not: %s", (source, name) => {
    expect(compilePattern(source).test(name)).toBe(false);
  });

  test("finds bytes: a letter outside ASCII is itself, and several to a dot", () => {
    expect(compilePattern("^couché\\.(é|b)+$").test("couché.ééb")).toBe(true);
    expect(compilePattern("^c.{2}$").test("cé")).toBe(true);
  });

  test("finds the end wherever nothing else is asked", () => {
    expect(compilePattern("$").test("abc")).toBe(true);
    expect(compilePattern("^$").test("abc")).toBe(false);
    expect(compilePattern("x|$").test("abc")).toBe(true);
  });

  test.each([
    ["(?=a)", /lookahead, \(\?=/],
    ["(?!a)", /lookahead, \(\?!/],
    ["(?<=a)", /lookbehind, \(\?<=/],
    ["(?<a>b)", /named group/],
    ["(?i)a", /group with flags/],
    ["(a)\\1", /backreference, \\1/],
    ["a\\b", /word boundary, \\b/],
    ["\\cA", /the escape \\c/],
    ["\\x41", /the escape \\x/],
    ["\\u0041", /the escape \\u/],
    ["\\p{L}", /the escape \\p/],
    ["\\0", /the escape \\0/],
    ["[[:alpha:]]", /\[\[:alpha:\]\]/],
    ["[]", /empty class/],
    ["[^]", /empty class/],
    ["[a-\\d]", /range of classes/],
    ["[é]", /outside ASCII, in a class/],
    ["é*", /letter outside ASCII/],
    ["[z-a]", /ends before it begins/],
    ["[a-c-e]", /a - amid a class/],
    ["a{,3}", /begins no count/],
    ["a{3,1}", /counts down/],
    ["a{1000000}", /counts above 1000/],
    ["((a{1000}){1000}){1000}", /more than 100000 states/],
    ["(((){1000}){1000}){1000}", /more than 100000 states/],
    ["a**", /quantifier of a quantifier/],
    ["^*", /quantifier of \^/],
    ["+a", /repeats nothing/],
    ["a)", /closes no group/],
    ["(a", /is not closed/],
    ["[a", /is not closed/],
    ["a\\", /stands at the end/],
    [`${"(".repeat(200)}a${")".repeat(200)}`, /groups within each other/],
  ])("refuses %s by name", (source, message) => {
    expect(() => compilePattern(source)).toThrow(message);
    expect(() => compilePattern(source)).toThrow(UsageError);
    expect(() => parseConstraint("tie", source)).toThrow(/^tie /);
  });

  test("gives up, with a word, where patterns and names are made to need the most", () => {
    const work = { left: 1e8 };
    const patterns = Array.from({ length: 50 }, (_, index) =>
      compilePattern(`${"(a|b)*a".repeat(300)}(a|b){${900 + index}}$`, work),
    );
    const name = Array.from({ length: 4000 }, (_, index) => "ab"[(index * index) % 7 > 3 ? 1 : 0]).join("");
    expect(() => patterns.map((pattern) => pattern.test(name))).toThrow(/takes too long/);
  });
});
