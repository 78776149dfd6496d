import { describe, expect, it } from "vitest";
import { readEvaluation } from "../../src/evaluate/read-evaluation.ts";
import { KINDS } from "./kinds.ts";

describe("documents of the first release", () => {
  it.each(KINDS)("%s is read, and nothing of it is lost", (name, text, read) => {
    const found = name.includes("rerank") ? readEvaluation(text, name) : read(text, name);
    expect(found).toEqual(JSON.parse(text));
    expect(read(text, name)).toBeDefined();
  });

  it.each(KINDS)("%s is read with fields that a later version adds, and with a byte order mark", (name, text, read) => {
    const later = { ...JSON.parse(text), later: { any: [1, null] } };
    expect(read(`\uFEFF${JSON.stringify(later)}`, name)).toBeDefined();
  });
});
