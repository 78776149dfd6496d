import { describe, expect, test } from "vitest";
import type { Analysis } from "../../src/analyze/analysis.ts";
import { readAnalysis } from "../../src/analyze/analysis-document.ts";
import { FormatError } from "../../src/errors.ts";

const analysis: Analysis = {
  schema: "prism.analysis/1",
  prismVersion: "0.1.0",
  createdAt: "2026-01-01T00:00:00.000Z",
  model: {
    path: "model.gguf",
    shards: ["model.gguf"],
    arch: "llama",
    tensorCount: 2,
    elements: 2080,
    fileBytes: 9000,
    headerHash: "00",
  },
  facts: {
    arch: "llama",
    layers: 1,
    nextnLayers: 0,
    heads: 4,
    kvHeads: 2,
    experts: 0,
    hasOutput: true,
    rankPooling: false,
    alignment: 32,
    vocabSize: 64,
    contextTrain: 256,
    outputHeaderBytes: 1000,
  },
  engine: { version: "v0.5.0", origin: "test" },
  backend: "reference",
  sampling: {
    exactMetrics: false,
    exactDistortion: false,
    seed: 1,
    targetRelativeSe: 0.02,
    bytesRead: 4096,
    elapsedMs: 1,
  },
  tensors: [
    {
      name: "output.weight",
      class: "output",
      shape: [32, 64],
      elements: 2048,
      sourceType: "F16",
      eligible: true,
      metrics: { fragility: 2.8 },
      omitted: { alphaHill: "fewer than 64 columns" },
      distortion: { Q8_0: { value: 3e-5, se: 1e-7 }, F16: { value: 0, se: 0 } },
      rowsRead: 64,
      rows: 64,
    },
    {
      name: "output_norm.weight",
      class: "output_norm",
      shape: [32],
      elements: 32,
      sourceType: "F32",
      eligible: false,
      ineligibleReason: "one-dimensional",
    },
  ],
  classes: [],
};

const read = (change: (document: Record<string, unknown> & typeof analysis) => void) => {
  const document = structuredClone(analysis) as Record<string, unknown> & typeof analysis;
  change(document);
  return () => readAnalysis(JSON.stringify(document), "a.json");
};
const set = (target: unknown, key: string, value: unknown) => Object.assign(target as object, { [key]: value });

test("a document comes back as it was written, with what a later version added", () => {
  expect(read(() => {})()).toEqual(analysis);
  expect(read((document) => set(document, "note", "added"))()).toEqual({ ...analysis, note: "added" });
});

describe("refused, with the file's name and a remedy", () => {
  test.each([
    [
      "another document",
      read((d) => set(d, "schema", "prism.plan/1")),
      /expected an analysis \("schema": "prism.analysis\/1"\), got the text "prism.plan\/1"/,
    ],
    [
      "another version",
      read((d) => set(d, "schema", "prism.analysis/9")),
      /an analysis in a format of PRISM 0\.1\.0, the text "prism.analysis\/9"/,
    ],
    ["JSON without a schema", () => readAnalysis("{}", "a.json"), /one without a schema/],
    ["a file cut short", () => readAnalysis(JSON.stringify(analysis).slice(0, 300), "a.json"), /cut off at byte 300/],
    ["a missing part", read((d) => set(d, "facts", undefined)), /facts: expected an object, got nothing/],
    [
      "null for a number",
      read((d) => set(d.tensors[0], "elements", null)),
      /tensors\[0\]\.elements \("output\.weight"\): expected a whole number, got null/,
    ],
    [
      "a negative distortion",
      read((d) => set(d.tensors[0]?.distortion?.Q8_0, "value", -1)),
      /distortion\.Q8_0\.value \("output\.weight"\): expected a number of at least 0, got -1/,
    ],
    [
      "an unknown type",
      read((d) => set(d.tensors[0]?.distortion, "Q9_X", { value: 1, se: 0 })),
      /tensors\[0\]\.distortion\.Q9_X \("output\.weight"\): no such name, expected one of .*Q4_K/,
    ],
    [
      "an eligible tensor without distortion",
      read((d) => set(d.tensors[0], "distortion", {})),
      /output\.weight has no distortion/,
    ],
    [
      "a shape that is not the elements",
      read((d) => set(d.tensors[0], "shape", [32, 32])),
      /has 1024 elements, the document says 2048/,
    ],
    ["a tensor twice", read((d) => set(d.tensors[1], "name", "output.weight")), /output\.weight is there twice/],
    ["a tensor too few", read((d) => set(d, "tensors", d.tensors.slice(1))), /expected 2 tensors, got 1/],
  ])("%s", (_, act, message) => {
    expect(act).toThrow(FormatError);
    expect(act).toThrow(/^a\.json: /);
    expect(act).toThrow(message);
  });
});
