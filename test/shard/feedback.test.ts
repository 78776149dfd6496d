import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { Analysis } from "../../src/analyze/analysis.ts";
import { measureFeedback } from "../../src/feedback/feedback-gains.ts";
import { openLocalModel } from "../../src/gguf/open.ts";
import { type OpenedBench, openBench } from "../../src/open-bench.ts";
import { feedbackStage } from "../../src/shard/stages/feedback.ts";
import { mergeShards, type PlanShardsRequest, planShards, runShard } from "../../src/verbs/shard.ts";
import { madeUpAnalysis } from "../quantize/made-up-analysis.ts";
import { writeMadeUpImatrix } from "../quantize/made-up-imatrix.ts";

const MODEL = join(import.meta.dirname, "../../models/books-llama-8m-f16.gguf");
const KINDS = join(import.meta.dirname, "../../data/calibration");

let folder: string;
let bench: OpenedBench;
let calibration: string[];
let analysis: Analysis;
const within = (name: string) => join(folder, name);
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "prism-shard-feedback-"));
  bench = await openBench({ threads: 2, backend: "reference", cacheDir: "none" });
  calibration = ["prose", "dialogue"].map((kind) => within(`${kind}.txt`));
  for (const kind of ["prose", "dialogue"]) {
    await writeFile(within(`${kind}.txt`), (await readFile(join(KINDS, `${kind}.txt`), "utf8")).slice(0, 4000));
  }
  // a few tensors in two types, so that it takes seconds
  const whole = await madeUpAnalysis(MODEL);
  const tensors = whole.tensors.map(({ distortion, ...tensor }) => {
    if (distortion === undefined) return tensor;
    const { Q3_K, Q4_K } = distortion;
    const isKept = /^blk\.[036]\.(attn_v|ffn_down)/.test(tensor.name) && Q3_K && Q4_K;
    return { ...tensor, distortion: isKept ? { Q3_K, Q4_K } : { F16: { value: 0, se: 0 } } };
  });
  analysis = { ...whole, tensors };
  await writeFile(within("analysis.json"), JSON.stringify(analysis));
  // of another text, also where this one measures nothing
  const known = analysis.tensors.map((tensor) =>
    tensor.distortion === undefined ? tensor : { ...tensor, distortion: withGain(tensor.distortion) },
  );
  await writeFile(within("known.json"), JSON.stringify({ ...analysis, feedback: { text: "another" }, tensors: known }));
});
afterAll(async () => {
  await bench.close();
  await rm(folder, { recursive: true, force: true });
});

function withGain(distortion: NonNullable<Analysis["tensors"][number]["distortion"]>) {
  return Object.fromEntries(Object.entries(distortion).map(([type, found]) => [type, { ...found, feedback: 0.125 }]));
}

const planned = (name: string, request: Partial<PlanShardsRequest>) =>
  planShards(MODEL, { stage: "feedback", directory: within(name), jobs: 3, ...request }, bench);

test("what feedback leaves of each error is measured by layers, to the document of one machine", async () => {
  const campaign = await planned("c", { analysis: within("known.json"), calibration });
  expect(campaign.jobs).toBe(3);
  const names = campaign.units.map(({ of }) => feedbackStage.name(of));
  expect(names).toContainEqual(expect.stringMatching(/^blk\.\d\.\S+ to blk\.\d\.\S+$/));
  // one machine has little memory: a layer's inputs at a time
  const small = { ...bench, threads: 1, memoryBytes: 2 ** 20 };
  for (const index of [2, 0, 1]) await runShard(within("c"), index, index === 2 ? small : bench);
  const { document } = await mergeShards(within("c"), { output: within("merged.json") }, bench);
  const source = await openLocalModel(MODEL);
  const whole = await measureFeedback(source, analysis, { calibration }, bench);
  await source.close();
  const gained = whole.tensors.filter((tensor) => tensor.distortion?.Q3_K?.feedback !== undefined);
  expect(gained.length).toBeGreaterThan(3);
  expect(document).toEqual(whole);
  expect(JSON.parse(await readFile(within("merged.json"), "utf8"))).toEqual(document);
});

test("an analysis with another importance matrix, and options of other stages, are refused", async () => {
  const imatrix = await writeMadeUpImatrix(MODEL, within("imatrix.gguf"));
  const asked = { analysis: within("analysis.json"), calibration };
  await expect(planned("d", { ...asked, imatrix })).rejects.toThrow(/was made without an importance matrix/);
  await expect(planned("d", { ...asked, feedback: true })).rejects.toThrow(/--feedback: it is of --stage quantize/);
  await expect(planned("d", { ...asked, text: within("prose.txt") })).rejects.toThrow(
    /--text: it is of --stage imatrix or probes or evaluation, and this is --stage feedback/,
  );
});
