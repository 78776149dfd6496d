import { expect, it } from "vitest";
import { describeEstimate, estimateRun } from "../../src/run/estimate.ts";

const input = { weights: [1e6, 1e5], threads: 2, context: 512, chunkMs: 100, baselines: [], text: "t.txt", chunks: 30 };

it("a run's time grows with its files, its chunks and a text that must be sampled first", () => {
  const plain = estimateRun(input);
  expect(plain.files).toBe(9);
  expect(estimateRun({ ...input, sweep: [{ kind: "bpw", value: 4 }] }).files).toBe(11);
  expect(estimateRun({ ...input, target: { measure: "kld", limit: 0.05 } }).files).toBeGreaterThan(9);
  expect(estimateRun({ ...input, chunks: 60 }).fileMs).toBeGreaterThan(1.9 * plain.fileMs);
  const made = estimateRun({ ...input, makesImatrix: true, weighted: true });
  expect([plain.imatrixMs, made.files]).toEqual([0, 11]);
  expect(made.imatrixMs).toBeGreaterThan(0);
  const coded = estimateRun({ ...input, makesFeedback: true });
  expect([plain.feedbackMs, coded.files]).toEqual([0, 10]);
  expect(coded.feedbackMs).toBeGreaterThan(0);
  const { text: _, ...sampled } = input;
  expect(estimateRun(sampled).textMs).toBeGreaterThan(plain.textMs);
});

it("is told in seconds, minutes or hours", () => {
  const times = { analysisMs: 20_000, fileMs: 40_000, textMs: 3000, imatrixMs: 0, feedbackMs: 0 };
  const parts = { ...times, files: 9, chunks: 40, context: 512 };
  expect(describeEstimate(parts)).toBe(
    "estimated time: 6 min: analysis 20 s, the reference's text 3 s, 9 files quantized and scored on some 40 chunks of 512 tokens, 40 s each",
  );
  expect(describeEstimate({ ...parts, imatrixMs: 60_000 })).toMatch(
    /^estimated time: 7 min: importance matrix 1 min, analysis 20 s/,
  );
  expect(describeEstimate({ ...parts, feedbackMs: 120_000 })).toMatch(
    /^estimated time: 8 min: .*, error feedback 2 min$/,
  );
  expect(describeEstimate({ ...parts, fileMs: 4e6 })).toMatch(/^estimated time: 10 h/);
});
