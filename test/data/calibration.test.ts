import { readdirSync, readFileSync } from "node:fs";
import { resolve } from "node:path";
import { deflateSync } from "node:zlib";
import { describe, expect, it } from "vitest";

const FOLDER = resolve(import.meta.dirname, "../../data/calibration");
const KINDS = ["code", "dialogue", "languages", "prose", "technical"];

it("has a file for each kind of calibration text, and no others", () => {
  expect(readdirSync(FOLDER).sort()).toEqual(KINDS.map((kind) => `${kind}.txt`));
});

describe.each(KINDS)("%s", (kind) => {
  const bytes = readFileSync(resolve(FOLDER, `${kind}.txt`));
  const text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);

  it("is clean text: no replaced characters, no mark of byte order, lines that end in LF alone", () => {
    expect(text).not.toMatch(/[\uFFFD\uFEFF\r]/u);
    expect(text).not.toMatch(/[ \t]$/mu);
    expect(text).toMatch(/\S\n$/u);
  });

  it("is of a size with the other kinds", () => {
    expect(bytes.length).toBeGreaterThan(16 * 1024);
    expect(bytes.length).toBeLessThan(40 * 1024);
  });

  it("does not repeat itself", () => {
    expect(deflateSync(bytes).length / bytes.length).toBeGreaterThan(0.3);
  });
});
