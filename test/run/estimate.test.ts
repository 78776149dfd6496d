import { expect, it } from "vitest";
import type { Stage } from "../../src/bench.ts";
import { describeStages, type EstimateInput, runStages } from "../../src/run/estimate.ts";

const input: EstimateInput = {
  ...{ weights: [1e6, 1e5], threads: 2, context: 512, chunkMs: 100, baselines: [], text: "t.txt", chunks: 30 },
  ...{ onGpu: false, makesImatrix: false, makesFeedback: false, weighted: false, refine: "none" },
  measures: { text: true, rerank: false, embeddings: false },
};

const seconds = (stages: readonly Stage[], name?: string) =>
  stages
    .filter((stage) => name === undefined || stage.name === name)
    .flatMap(({ parts }) => parts.flat())
    .reduce((sum, phase) => sum + phase.seconds, 0);
const namesOf = (stages: readonly Stage[]) => stages.map(({ name }) => name);
const partsOf = (stages: readonly Stage[], name: string) => stages.find((stage) => stage.name === name)?.parts.length;

it("a run's stages are those that it will have, and its time grows with its files, its chunks and its texts", () => {
  const plain = runStages(input);
  expect(namesOf(plain)).toEqual(["analysis", "plan", "files", "report"]);
  expect(partsOf(plain, "files")).toBe(9);
  expect(partsOf(runStages({ ...input, sweep: [{ kind: "bpw", value: 4 }] }), "sizes")).toBe(2);
  expect(partsOf(runStages({ ...input, target: { measure: "kld", limit: 0.05 } }), "sizes")).toBe(4);
  expect(seconds(runStages({ ...input, chunks: 60 }), "files")).toBeGreaterThan(1.9 * seconds(plain, "files"));
  const made = runStages({ ...input, makesImatrix: true, weighted: true });
  expect([namesOf(made)[0], partsOf(made, "files")]).toEqual(["importance matrix", 11]);
  expect(seconds(made, "importance matrix")).toBeGreaterThan(0);
  const coded = runStages({ ...input, makesFeedback: true });
  expect(partsOf(coded, "files")).toBe(10);
  expect(seconds(coded, "analysis")).toBeGreaterThan(seconds(plain, "analysis"));
  const { text: _, ...sampled } = input;
  expect(seconds(runStages(sampled), "files")).toBeGreaterThan(seconds(plain, "files"));
  const probed = runStages({ ...input, refine: { probes: 8 } });
  expect(seconds(probed, "probes")).toBeGreaterThan(8 * 4 * 0.1);
});

it("is told in seconds, minutes or hours, in steps that add up", () => {
  const stage = (name: string, ...parts: number[]): Stage => ({
    name,
    parts: parts.map((part) => [{ what: "work", seconds: part }]),
  });
  expect(describeStages([stage("analysis", 20), stage("files", 40, 60), stage("report", 1)])).toBe(
    "estimated time: about 2 min in 3 steps: analysis 20 s, 2 files 2 min, report 1 s",
  );
  expect(describeStages([stage("files", 4e4)])).toMatch(/^estimated time: about 11 h in 1 steps?: files 11 h$/);
});
