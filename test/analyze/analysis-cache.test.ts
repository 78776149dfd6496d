import { appendFile, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import type { Analysis } from "../../src/analyze/analysis.ts";
import { analyzeCached } from "../../src/analyze/analysis-cache.ts";
import { type AnalyzeRequest, analyze } from "../../src/analyze/analyze.ts";
import type { Bench, Progress } from "../../src/bench.ts";
import type { Engine } from "../../src/engine/engine.ts";
import { referenceBackend } from "../../src/kernels/reference.ts";
import { createNormal, createRandom } from "../../src/random.ts";
import { testBench } from "../bench.ts";
import { blockEngine, f32Tensor, memoryModel } from "./model-in-memory.ts";

const backend = referenceBackend();
const normal = createNormal(createRandom(3));
const TENSORS = Array.from({ length: 10 }, (_, layer) =>
  f32Tensor(`blk.${layer}.ffn_down.weight`, [64, 300], () => normal()),
);

let cacheDir: string;
let notes: string[];
let jobs: number;
beforeEach(async () => {
  cacheDir = await mkdtemp(join(tmpdir(), "prism-analyses-"));
  notes = [];
  jobs = 0;
});
afterEach(() => rm(cacheDir, { recursive: true }));

interface Options extends AnalyzeRequest, Partial<Pick<Bench, "seed" | "signal">> {
  readonly cacheDir?: string;
  readonly onSteps?: (done: number) => void;
}

function run(options: Options = {}, revision: string | undefined = "1"): Promise<Analysis> {
  const { seed = 1, signal, cacheDir: dir = cacheDir, onSteps, ...request } = options;
  const engine = blockEngine(async () => void jobs++);
  const progress: Progress = { note: (text) => void notes.push(text), steps: (_, done) => onSteps?.(done) };
  const cache = { dir, logitsLimitBytes: 0 };
  const bench = benchOf(engine, { seed, progress, cache, ...(signal && { signal }) });
  return analyzeCached({ ...memoryModel(TENSORS), revision }, request, bench);
}

const benchOf = (engine: Engine, overrides: Partial<Bench> = {}) =>
  testBench(engine, { backend: async () => backend, seed: 1, ...overrides });

/** Paths of what the cache holds. */
async function entries(): Promise<string[]> {
  const names = await readdir(join(cacheDir, "analyses"), { recursive: true });
  return names.filter((name) => name.includes("json")).map((name) => join(cacheDir, "analyses", name));
}

/** Interrupt an analysis once some tensors are measured. */
async function interrupted(after: number): Promise<void> {
  const stop = new AbortController();
  const onSteps = (done: number) => void (done === after && stop.abort());
  await expect(run({ signal: stop.signal, onSteps })).rejects.toMatchObject({ name: "AbortError" });
}

const values = ({ tensors, classes, sampling }: Analysis) => ({ tensors, classes, bytesRead: sampling.bytesRead });

test("the same model and options are analysed once, and it says so", async () => {
  const first = await run();
  const { length } = notes;
  jobs = 0;
  expect(await run()).toEqual(first);
  expect(jobs).toBe(0);
  expect(length).toBe(0);
  expect(notes).toEqual([expect.stringContaining("from the cache")]);
});

test.each([
  ["another seed", { seed: 2 }, "1"],
  ["exact metrics", { exactMetrics: true }, "1"],
  ["another target", { targetRelativeSe: 0.5 }, "1"],
  ["another content of the file", {}, "2"],
])("%s is another analysis", async (_, options, revision) => {
  await run();
  jobs = 0;
  await run(options, revision);
  expect(jobs).toBeGreaterThan(0);
  expect(await entries()).toHaveLength(2);
});

test("nothing is kept without a folder, nor where contents can't be told apart", async () => {
  const keeping = benchOf(blockEngine(), { cache: { dir: cacheDir, logitsLimitBytes: 0 } });
  await analyzeCached({ ...memoryModel(TENSORS), revision: "1" }, {}, benchOf(blockEngine()));
  await analyzeCached(memoryModel(TENSORS), {}, keeping);
  expect(await readdir(cacheDir)).toEqual([]);
});

test("an interrupted analysis goes on where it was and ends the same", async () => {
  await interrupted(2);
  const [journal = ""] = await entries();
  expect(journal).toMatch(/journal$/);
  const { length } = (await readFile(journal, "utf8")).trimEnd().split("\n");
  expect(length).toBeGreaterThanOrEqual(2);
  jobs = 0;
  const resumed = await run();
  expect(notes).toEqual([expect.stringContaining(`after ${length} tensors`)]);
  const all = jobs;
  const whole = await analyze(memoryModel(TENSORS), {}, benchOf(blockEngine(async () => void jobs++)));
  expect(values(resumed)).toEqual(values(whole));
  expect(all).toBeLessThan(jobs - all);
  expect(await entries()).toEqual([expect.not.stringMatching(/journal/)]);
});

test("a line that was cut off is measured again", async () => {
  await interrupted(2);
  const [journal = ""] = await entries();
  await appendFile(journal, '{"analysis":{"name":"blk.3.ffn');
  await interrupted(5);
  const resumed = await run();
  expect(resumed.tensors.every(({ distortion }) => distortion?.Q8_0 !== undefined)).toBe(true);
});

test("a damaged entry is made again", async () => {
  const first = await run();
  const [path = ""] = await entries();
  await writeFile(path, "{}");
  jobs = 0;
  expect(values(await run())).toEqual(values(first));
  expect(jobs).toBeGreaterThan(0);
});

test("a folder that can't be written is no reason to fail", async () => {
  const file = join(cacheDir, "a-file");
  await writeFile(file, "");
  expect((await run({ cacheDir: file })).tensors).toHaveLength(10);
  expect(notes).toEqual([expect.stringContaining("not kept")]);
});
