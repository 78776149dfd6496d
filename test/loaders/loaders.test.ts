import { describe, expect, it } from "vitest";
import { parseExpression, type Scope } from "../../src/loaders/expression.ts";
import { loadableArchitectures, loaderTable, parseTable } from "../../src/loaders/loader-table.ts";
import { checkLoading } from "../../src/preflight/loading.ts";
import { tinyGguf } from "../fixtures/tiny-models.ts";
import { plainModel } from "../gguf/plain-model.ts";

const SCOPE: Scope = {
  variable: (name) => (name === "list" ? [5, 7] : name === "h.n_ff" ? 384 : 0),
  call: (name, args) => (name === "max" ? Math.max(...args.map(Number)) : String(args[0])),
};
const resultOf = (text: string) => parseExpression(text).evaluate(SCOPE);

describe("an expression", () => {
  it.each([
    ["2 + 3 * 4", 14],
    ["(2 + 3) * 4 % 7", 6],
    ["7 / 2", 3],
    ["-7 / 2", -3],
    ["1 < 2 && !(3 == 4)", 1],
    ["0 ? 1 : 2 | 4", 6],
    ["list[1] + list[9]", 7],
    ["max(h.n_ff / 2, 100)", 192],
    ['call("blk.{1 + 1}.x")', "blk.2.x"],
  ])("%s", (text, value) => {
    expect(resultOf(text)).toBe(value);
  });

  it("ends where llama.cpp's processor would", () => {
    expect(() => resultOf("1 / 0")).toThrow("division by zero");
  });

  it.each(["1 +", "(1", "a b", "f(1", "1 @ 2"])("%s is a fault of ours", (text) => {
    expect(() => parseExpression(text)).toThrow(SyntaxError);
  });
});

describe("the tables", () => {
  it("can be read, each of them", () => {
    for (const arch of loadableArchitectures()) expect(loaderTable(arch)?.tensors.length, arch).toBeGreaterThan(0);
    expect(loaderTable("clip")).toBeUndefined();
    expect(loaderTable("../README")).toBeUndefined();
  });

  it("know no line that is none", () => {
    expect(() => parseTable(["what is this"])).toThrow(SyntaxError);
    expect(() => parseTable(["else", "  x = 1"])).toThrow(SyntaxError);
  });
});

describe("a header", () => {
  const loadingOf = (arch: string, values: Readonly<Record<string, number>> = {}) => {
    const { keyValues, tensors } = tinyGguf(arch);
    const { metadata, keyTypes } = plainModel({
      arch,
      metadata: {
        ...Object.fromEntries(keyValues.map(({ key, value }) => [key, value as number])),
        ...values,
      },
    });
    // a model in memory has no types of its own: what is a number is a u32, as most keys are
    const types = new Map([...keyTypes].map(([key, type]) => [key, stored.get(arch)?.get(key) ?? type]));
    return checkLoading({ arch, metadata, keyTypes: types, tensors });
  };
  const stored = new Map(
    ["llama", "t5"].map((arch) => [
      arch,
      new Map(
        tinyGguf(arch).keyValues.map(({ key, type, value }) => [
          key,
          typeof type === "string"
            ? { type }
            : { type: "array" as const, element: type.array, length: (value as readonly unknown[]).length },
        ]),
      ),
    ]),
  );

  it("that is right has nothing wrong", () => {
    expect(loadingOf("llama")).toEqual({ keys: [], missing: [], extra: [], misshapen: [] });
  });

  it("names the terms of a shape that another value does not give", () => {
    const loading = loadingOf("llama", { "llama.feed_forward_length": 100 });
    expect(loading?.misshapen[0]).toMatchObject({
      name: "blk.0.ffn_gate.weight",
      got: [256, 384],
      shape: [256, 100],
      terms: "n_embd, n_ff",
    });
  });

  it("that counts thousands of millions of layers costs nothing", () => {
    const begun = loadingOf("t5", { "t5.decoder_block_count": 4_000_000_000 });
    expect(begun?.refusal).toMatch(/there can't be 4000000000 of what .* counts/);
  });
});
