/** Made-up patterns mean to the matcher what they mean to RegExp and to the std::regex of llama-quantize. */
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { compilePattern } from "../../src/allocate/compile-pattern.ts";
import { createRandom } from "../../src/random.ts";

const random = createRandom(20_261_129);
const below = (count: number): number => Math.floor(random() * count);
const pick = <Item>(items: readonly Item[]): Item => items[below(items.length)] as Item;

const CHARS = ["a", "b", "z", "A", "0", "1", "_", "-", ".", " ", "\n", "\r", "\0", "]", "}", "\\", "$", "é"];
const ESCAPES = [
  "\\.",
  "\\d",
  "\\w",
  "\\s",
  "\\D",
  "\\W",
  "\\S",
  "\\-",
  "\\\\",
  "\\$",
  "\\]",
  "\\n",
  "\\t",
  "\\/",
  "\\_",
];
const COUNTS = ["*", "+", "?", "*?", "+?", "??", "{0}", "{1}", "{2}", "{0,1}", "{1,3}", "{2,}", "{0,}?", "{0,0}"];
const MEMBERS = ["a", "z", "A", "0", "_", ".", "-", "^", "a-c", "0-9", "A-Z", "_-b", ...ESCAPES, "|", "*", "\0", "$"];

function piece(depth: number): string {
  const roll = below(20);
  if (roll < 8) return pick(["a", "b", "a", "b", "0", "_", "é", "]", "}", "-", "\n", "\0", " "]);
  if (roll < 10) return ".";
  if (roll < 12) return pick(ESCAPES);
  if (roll < 14) return `[${pick(["", "^"])}${Array.from({ length: 1 + below(3) }, () => pick(MEMBERS)).join("")}]`;
  if (roll < 15) return pick(["^", "$"]);
  if (depth === 0) return "b";
  return `${pick(["(", "(?:"])}${choice(depth - 1)})`;
}

function choice(depth: number): string {
  const sequence = () =>
    Array.from({ length: below(4) }, () => `${piece(depth)}${below(3) === 0 ? pick(COUNTS) : ""}`).join("");
  return Array.from({ length: 1 + (below(3) === 0 ? below(3) : 0) }, sequence).join("|");
}

/** What the matcher takes, with names that are near it. */
const CASES = Array.from({ length: 3000 }, () => choice(2)).flatMap((source) => {
  try {
    const pattern = compilePattern(source);
    const names = Array.from({ length: 8 }, () => Array.from({ length: below(7) }, () => pick(CHARS)).join(""));
    return names.map((name) => ({ source, name, found: pattern.test(name) }));
  } catch {
    return [];
  }
});
const byteString = (text: string) => Buffer.from(text).toString("latin1");

test("made-up patterns are taken and refused, found and not", () => {
  const taken = new Set(CASES.map(({ source }) => source)).size;
  expect(taken).toBeGreaterThan(1000);
  expect(CASES.filter(({ found }) => found).length).toBeGreaterThan(CASES.length / 10);
  expect(CASES.filter(({ found }) => !found).length).toBeGreaterThan(CASES.length / 10);
});

test("RegExp finds the same", () => {
  const differing = CASES.filter(
    ({ source, name, found }) => new RegExp(byteString(source)).test(byteString(name)) !== found,
  );
  expect(differing).toEqual([]);
});

const compiler = ["g++", "c++", "clang++"].find((name) => spawnSync(name, ["--version"]).status === 0);

describe.skipIf(compiler === undefined)("std::regex (skipped without a C++ compiler)", () => {
  const folder = mkdtempSync(join(tmpdir(), "prism-regex-"));
  const program = join(folder, "search");
  beforeAll(() => {
    const source = resolve(import.meta.dirname, "std-regex-search.cpp");
    const made = spawnSync(compiler as string, ["-O1", "-o", program, source], { encoding: "utf8" });
    if (made.status !== 0) throw new Error(made.stderr);
  }, 120_000);
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  test("finds the same", () => {
    const hex = (text: string) => `.${Buffer.from(text).toString("hex")}`;
    const input = CASES.map(({ source, name }) => `${hex(source)} ${hex(name)}\n`).join("");
    const { stdout, status } = spawnSync(program, { input, encoding: "utf8", timeout: 60_000 });
    expect(status).toBe(0);
    const differing = CASES.map((one, index) => ({ ...one, std: stdout[index] })).filter(
      ({ found, std }) => std !== (found ? "1" : "0"),
    );
    expect(differing.slice(0, 40)).toEqual([]);
  });
});
