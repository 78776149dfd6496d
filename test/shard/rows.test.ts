import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { analyze } from "../../src/analyze/analyze.ts";
import { cutRows } from "../../src/analyze/tensor-part.ts";
import { writeSealed } from "../../src/disk/sealed-file.ts";
import type { TensorInfo } from "../../src/gguf/model.ts";
import { createNormal, createRandom } from "../../src/random.ts";
import { createCampaign } from "../../src/shard/campaign.ts";
import { mergeCampaign } from "../../src/shard/merge.ts";
import { analysisStage } from "../../src/shard/stages/analysis.ts";
import { runUnits } from "../../src/shard/work.ts";
import { blockEngine, f32Tensor, memoryModel } from "../analyze/model-in-memory.ts";
import { testBench } from "../bench.ts";

const WHOLE = { exactMetrics: true, exactDistortion: true };
const EXPERTS = 90;
const normal = createNormal(createRandom(11));
/** Experts of unequal scale, one of them nothing but zeros, one with a weight that F16 can't hold. */
function weight(index: number): number {
  const expert = Math.floor(index / (64 * 65));
  if (expert === 7) return 0;
  if (index === 50 * 64 * 65 + 3) return 1e6;
  return normal() * (1 + (expert % 5));
}
const SOURCE = memoryModel([
  f32Tensor("blk.0.ffn_down_exps.weight", [64, 65, EXPERTS], weight),
  f32Tensor("blk.0.attn_q.weight", [64, 70], () => normal()),
]);

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "prism-shard-rows-"));
});
afterEach(() => rm(folder, { recursive: true }));

const bench = testBench(blockEngine(), { seed: 3 });

async function planned(options = WHOLE) {
  const directory = join(folder, "c");
  const asked = { directory, jobs: 3, options, inputs: {} };
  return { directory, campaign: await createCampaign(SOURCE, analysisStage, asked, bench), source: SOURCE };
}

const timeless = (document: unknown) => JSON.stringify(document).replaceAll(/"(createdAt|elapsedMs)":[^,}]*/g, "");

test("stacked experts are measured in ranges of matrices, and merged to the bits of one machine", async () => {
  const place = await planned();
  const names = place.campaign.units.map(({ of }) => analysisStage.name(of));
  expect(names).toEqual([
    "blk.0.ffn_down_exps.weight, rows 0 to 4094",
    "blk.0.ffn_down_exps.weight, rows 4095 to 5849",
    "blk.0.attn_q.weight",
  ]);
  for (const index of [2, 0, 1]) await runUnits(place, analysisStage, index, bench);
  const merged = await mergeCampaign(place, analysisStage, join(folder, "a.json"), bench);
  const whole = await analyze(SOURCE, WHOLE, bench);
  expect(timeless(merged)).toBe(timeless(whole));
  const [experts] = whole.tensors;
  expect(experts?.metrics?.osqe).toBeDefined();
  // it overflowed in one range
  expect(experts?.distortion?.F16).toBeUndefined();
  expect(experts?.distortion?.Q4_K ?? experts?.distortion?.Q4_0).toBeDefined();
});

test("what is sampled, or exact in its metrics alone, is not cut", async () => {
  const { campaign } = await planned({ exactMetrics: true, exactDistortion: false });
  expect(campaign.units.map(({ of }) => of)).toEqual(SOURCE.model.tensors.map(({ name }) => ({ tensor: name })));
});

test("a part of other rows is refused", async () => {
  const place = await planned();
  await runUnits(place, analysisStage, undefined, bench);
  const parts = join(place.directory, "parts");
  for (const file of await readdir(parts)) {
    const part = JSON.parse((await readFile(join(parts, file), "utf8")).split("\n")[1] as string);
    if (part.value.power === undefined) continue;
    const power = part.value.power.slice(1);
    await writeSealed(join(parts, file), JSON.stringify({ ...part, value: { ...part.value, power } }));
  }
  const merging = mergeCampaign(place, analysisStage, join(folder, "a.json"), bench);
  await expect(merging).rejects.toThrow(/ffn_down_exps.weight: rows 0 to 4094 have \d+ bands, their part has others/);
});

test("cuts lie between matrices, or where one is read in pieces, and leave nothing out", () => {
  const tensor = (shape: readonly number[]): TensorInfo => {
    const elements = shape.reduce((a, b) => a * b, 1);
    return { name: "t", shape, elements, type: "BF16", bytes: 2 * elements, shard: 0, offset: 0 };
  };
  const stack = cutRows(tensor([5120, 1536, 160]), 2 ** 28);
  expect(stack.every(({ from, to }) => from % 1536 === 0 && to % 1536 === 0)).toBe(true);
  expect(stack.length).toBe(10);
  const plain = cutRows(tensor([5120, 151_552]), 2 ** 28);
  expect(plain.length).toBe(6);
  for (const cuts of [stack, plain]) {
    expect(cuts.map(({ from }) => from)).toEqual([0, ...cuts.slice(0, -1).map(({ to }) => to)]);
  }
  expect([stack.at(-1)?.to, plain.at(-1)?.to]).toEqual([1536 * 160, 151_552]);
});
