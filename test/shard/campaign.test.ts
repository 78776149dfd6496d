import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, expect, test } from "vitest";
import { analyze } from "../../src/analyze/analyze.ts";
import type { Bench } from "../../src/bench.ts";
import { writeSealed } from "../../src/disk/sealed-file.ts";
import type { OpenModel } from "../../src/gguf/model.ts";
import { referenceBackend } from "../../src/kernels/reference.ts";
import { createNormal, createRandom } from "../../src/random.ts";
import { balance } from "../../src/shard/balance.ts";
import { createCampaign, readCampaign, requireSameHow } from "../../src/shard/campaign.ts";
import type { Campaign } from "../../src/shard/campaign-document.ts";
import { mergeCampaign } from "../../src/shard/merge.ts";
import { writePart } from "../../src/shard/parts.ts";
import { analysisStage } from "../../src/shard/stages/analysis.ts";
import { campaignStatus } from "../../src/shard/status.ts";
import { runUnits } from "../../src/shard/work.ts";
import { retryShards } from "../../src/verbs/shard.ts";
import { blockEngine, f32Tensor, memoryModel } from "../analyze/model-in-memory.ts";
import { testBench } from "../bench.ts";

const backend = referenceBackend();
const normal = createNormal(createRandom(3));
const TENSORS = Array.from({ length: 10 }, (_, layer) =>
  f32Tensor(`blk.${layer}.ffn_down.weight`, [64, 30 + 40 * layer], () => normal()),
);

let folder: string;
let source: OpenModel;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "prism-shard-"));
  source = memoryModel(TENSORS);
});
afterEach(() => rm(folder, { recursive: true }));

const benchOf = (onJob: () => Promise<void> = async () => undefined, overrides: Partial<Bench> = {}) =>
  testBench(blockEngine(onJob), { backend: async () => backend, seed: 1, ...overrides });

/** A campaign in `folder`/name. */
async function planned(name: string, jobs = 4): Promise<{ directory: string; campaign: Campaign; source: OpenModel }> {
  const directory = join(folder, name);
  const options = { exactMetrics: false, exactDistortion: false };
  const campaign = await createCampaign(source, analysisStage, { directory, jobs, options, inputs: {} }, benchOf());
  return { directory, campaign, source };
}

const timeless = (document: unknown) => JSON.stringify(document).replaceAll(/"(createdAt|elapsedMs)":[^,}]*/g, "");

test("a merged analysis is that of one machine, byte for byte but for its times, in whatever order it was made", async () => {
  const place = await planned("c");
  for (const index of [2, 0, 3, 1]) await runUnits(place, analysisStage, index, benchOf());
  const merged = await mergeCampaign(place, analysisStage, join(folder, "a.json"), benchOf());
  expect(timeless(merged)).toBe(timeless(await analyze(source, {}, benchOf())));
});

test("a unit that has a part is not measured again, and one of a worker that was ended is", async () => {
  const place = await planned("c");
  let jobs = 0;
  const counting = benchOf(async () => void jobs++);
  const first = await runUnits(place, analysisStage, undefined, counting);
  expect(first).toMatchObject({ done: 10, finished: 10, units: 10 });
  const before = jobs;
  const [part = ""] = await readdir(join(place.directory, "parts"));
  await rm(join(place.directory, "parts", part));
  expect(await runUnits(place, analysisStage, undefined, benchOf())).toMatchObject({ done: 1, finished: 10 });
  expect(jobs).toBe(before);
});

test("workers without an index do other units than each other", async () => {
  const names = Array.from({ length: 40 }, (_, layer) => `blk.${layer}.ffn_down.weight`);
  source = memoryModel(names.map((name) => f32Tensor(name, [64, 30], () => normal())));
  const counted = async (workers: number, name: string) => {
    const place = await planned(name);
    let jobs = 0;
    const slow = benchOf(async () => {
      jobs++;
      await sleep(2);
    });
    const done = await Promise.all(
      Array.from({ length: workers }, () => runUnits(place, analysisStage, undefined, slow)),
    );
    expect(done.every(({ finished, units }) => finished === units)).toBe(true);
    expect(await readdir(join(place.directory, "attempts"))).toEqual([]);
    return jobs;
  };
  // in step with each other they would do all of it twice; beginning at the same unit now and then is no harm
  expect(await counted(2, "two")).toBeLessThan(1.5 * (await counted(1, "one")));
});

test("equal duplicates pass; unequal ones are an error that names both machines", async () => {
  const place = await planned("c");
  await runUnits(place, analysisStage, undefined, benchOf());
  const parts = join(place.directory, "parts");
  const [file = ""] = await readdir(parts);
  const part = JSON.parse((await readFile(join(parts, file), "utf8")).split("\n")[1] as string);
  await writePart(place.directory, { ...part, seconds: 9 });
  await expect(mergeCampaign(place, analysisStage, join(folder, "a.json"), benchOf())).resolves.toBeDefined();

  const other = { ...part, host: "node-7", value: { ...part.value, bytesRead: part.value.bytesRead + 1 } };
  await writeSealed(join(parts, `${part.unit}.${"0".repeat(32)}.json`), JSON.stringify(other));
  const merging = mergeCampaign(place, analysisStage, join(folder, "b.json"), benchOf());
  await expect(merging).rejects.toMatchObject({ code: "verification", message: expect.stringContaining("node-7") });
  await expect(merging).rejects.toThrow(part.host);
});

test("a damaged part is missing, which the merge says with an exit code of its own", async () => {
  const place = await planned("c");
  await runUnits(place, analysisStage, undefined, benchOf());
  const parts = join(place.directory, "parts");
  const [file = ""] = await readdir(parts);
  await writeFile(join(parts, file), (await readFile(join(parts, file), "utf8")).slice(0, -9));
  const merging = mergeCampaign(place, analysisStage, join(folder, "a.json"), benchOf());
  await expect(merging).rejects.toMatchObject({
    exitCode: 7,
    message: expect.stringContaining("1 of 10 parts are missing"),
  });
});

test("a unit that fails is given up after three tries, the rest goes on, and retry lets it be tried again", async () => {
  const place = await planned("c");
  const bad = source.model.tensors[4]?.name;
  const broken: OpenModel = {
    ...source,
    read: (tensor, start, bytes) =>
      tensor.name === bad ? Promise.reject(new Error("a bad sector")) : source.read(tensor, start, bytes),
  };
  const results = [];
  for (let i = 0; i < 4; i++)
    results.push(await runUnits({ ...place, source: broken }, analysisStage, undefined, benchOf()));
  expect(results.map(({ done, failed, poisoned }) => [done, failed.length, poisoned.length])).toEqual([
    [9, 1, 0],
    [0, 1, 0],
    [0, 0, 1],
    [0, 0, 1],
  ]);
  const { poisoned, openJobs, lost } = await campaignStatus(place.directory);
  expect([poisoned.map(({ of, name, error }) => [of, name, error]), openJobs, lost]).toEqual([
    [[{ tensor: bad }, bad, "a bad sector"]],
    [],
    3,
  ]);
  expect(await retryShards(place.directory)).toBe(1);
  expect(await runUnits(place, analysisStage, undefined, benchOf())).toMatchObject({ done: 1, finished: 10 });
});

test("a full disk is no fault of the unit: the worker stops, to be started again", async () => {
  const place = await planned("c");
  const full = Object.assign(new Error("no space left"), { code: "ENOSPC" });
  const working = runUnits(
    place,
    analysisStage,
    undefined,
    benchOf(async () => Promise.reject(full)),
  );
  await expect(working).rejects.toMatchObject({ exitCode: 75 });
  expect((await campaignStatus(place.directory)).lost).toBe(0);
});

test("a machine that computes otherwise is refused", async () => {
  const { campaign } = await planned("c");
  await expect(requireSameHow(campaign, benchOf())).resolves.toBeUndefined();
  await expect(requireSameHow(campaign, benchOf(undefined, { seed: 2 }))).rejects.toThrow(
    "seed: 2 here, 1 in the campaign",
  );
  const { engine } = benchOf();
  const other = { ...engine, info: { ...engine.info, cpuBuild: "haswell" } };
  await expect(requireSameHow(campaign, benchOf(undefined, { engine: other }))).rejects.toThrow(
    "cpuBuild: haswell here",
  );
});

test("a campaign that was changed, that leads outside itself, or that stands there already is refused", async () => {
  const { directory, campaign } = await planned("c");
  const changed = async (document: object) => {
    const to = join(folder, "changed");
    await mkdir(to, { recursive: true });
    await writeFile(join(to, "campaign.json"), JSON.stringify(document));
    return readCampaign(to);
  };
  await expect(readCampaign(directory)).resolves.toEqual(campaign);
  await expect(changed({ ...campaign, options: { exactMetrics: true, exactDistortion: false } })).rejects.toThrow(
    "was changed",
  );
  const [unit, ...others] = campaign.units;
  for (const units of [others, [...others, unit], [{ ...unit, job: campaign.jobs }, ...others]]) {
    await expect(changed({ ...campaign, units })).rejects.toThrow("was changed");
  }
  await expect(changed({ ...campaign, jobs: 2 ** 32 - 1 })).rejects.toThrow("jobs");
  for (const file of ["/etc/passwd", "../model.gguf", "model/../../x.gguf"]) {
    await expect(changed({ ...campaign, model: { ...campaign.model, file } })).rejects.toThrow("outside the campaign");
  }
  const input = { name: "imatrix", sha256: "0", path: "x", file: "inputs/../../secret" };
  await expect(changed({ ...campaign, inputs: [input] })).rejects.toThrow("inputs[0].file");
  await expect(planned("c")).rejects.toThrow("holds something already");
});

test("jobs are consecutive units, and the most costly is as cheap as it can be", () => {
  const costs = [5, 1, 1, 1, 5, 2, 2, 1];
  const places = balance(costs, 4);
  expect(places).toEqual([...places].sort((a, b) => a - b));
  const loads = costs.reduce<number[]>((sums, cost, index) => {
    const job = places[index] as number;
    sums[job] = (sums[job] ?? 0) + cost;
    return sums;
  }, []);
  expect(Math.max(...loads)).toBe(5);
  expect(loads.length).toBeLessThanOrEqual(4);
  expect(balance([3, 4], 9)).toEqual([0, 1]);
});
