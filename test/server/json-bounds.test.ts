import { describe, expect, it } from "vitest";
import { checkJsonBounds } from "../../src/server/json-bounds.ts";

describe("the bounds of JSON", () => {
  it.each([
    ['{"query": "q", "documents": ["a", {"text": "b"}]}', 7],
    ['["[[[[", "\\"[,,,,\\\\", ",,"]', 4],
    ["[".repeat(64) + "]".repeat(64), 65],
    ['"unfinished [[[[', 1],
    ["", 1],
    ["]]]]", 1],
  ])("take %s", (text, most) => {
    expect(() => checkJsonBounds(text, most)).not.toThrow();
  });

  it.each([
    ["[".repeat(65), 1000, /nested more than 64 deep/],
    ['{"a":'.repeat(65), 1000, /nested more than 64 deep/],
    [`[${"0,".repeat(100)}0]`, 100, /more than 100 values/],
    [`[${"{},".repeat(60)}0]`, 100, /more than 100 values/],
  ])("refuse %s", (text, most, message) => {
    expect(() => checkJsonBounds(text, most)).toThrow(message);
  });

  it("look at megabytes of quotes and backslashes once", () => {
    const text = `["${'\\\\\\"'.repeat(2_000_000)}"]`;
    expect(() => checkJsonBounds(text, 10)).not.toThrow();
  });
});
