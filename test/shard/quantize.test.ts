import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { readImatrix } from "../../src/imatrix/imatrix.ts";
import { type OpenedBench, openBench } from "../../src/open-bench.ts";
import { makePlan, type PlanOptions } from "../../src/plan/make-plan.ts";
import { uniformSensitivity } from "../../src/sensitivity/sensitivity.ts";
import { quantizeStage } from "../../src/shard/stages/quantize.ts";
import { quantizePlan } from "../../src/verbs/quantize.ts";
import { mergeShards, type PlanShardsRequest, planShards, runShard } from "../../src/verbs/shard.ts";
import { madeUpAnalysis } from "../quantize/made-up-analysis.ts";
import { writeMadeUpImatrix } from "../quantize/made-up-imatrix.ts";

const MODEL = join(import.meta.dirname, "../../models/books-llama-8m-f16.gguf");

let folder: string;
let bench: OpenedBench;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "prism-shard-quantize-"));
  bench = await openBench({ threads: 2, backend: "reference", cacheDir: "none" });
});
afterAll(async () => {
  await bench.close();
  await rm(folder, { recursive: true, force: true });
});

const within = (name: string) => join(folder, name);

async function writePlan(
  name: string,
  {
    imatrixPath,
    ...asked
  }: Partial<Pick<PlanOptions, "budget" | "constraints" | "types">> & { imatrixPath?: string } = {},
): Promise<string> {
  const imatrix = imatrixPath === undefined ? undefined : await readImatrix(imatrixPath);
  const analysis = await madeUpAnalysis(MODEL, imatrix);
  const budget = { kind: "like", fileType: "Q3_K_M" } as const;
  const plan = makePlan({ analysis, sensitivity: uniformSensitivity(analysis), budget, ...asked });
  await writeFile(within(name), JSON.stringify(plan));
  return within(name);
}

/** Of three of the eight layers, in three units, codes are chosen. */
const FEW_CODES = [
  { kind: "pin", pattern: ".", type: "F16" },
  ...[0, 3, 6].map((layer) => ({ kind: "pin", pattern: `^blk\\.${layer}\\.`, type: "Q3_K" }) as const),
  // it shares its inputs with k and v, of which codes are chosen
  { kind: "pin", pattern: "^blk\\.3\\.attn_q", type: "F16" },
] as const;

const planned = (name: string, request: Partial<PlanShardsRequest>) =>
  planShards(MODEL, { stage: "quantize", directory: within(name), jobs: 3, ...request }, bench);

const filesOf = ({ path, parts }: { path: string; parts?: readonly { path: string }[] }) =>
  Promise.all((parts ?? [{ path }]).map((file) => readFile(file.path)));

test("the merged file is that of one machine to the byte, with an imatrix and in parts, in whatever order it was made", async () => {
  const imatrix = await writeMadeUpImatrix(MODEL, within("imatrix.gguf"));
  const plan = await writePlan("plan.json", { imatrixPath: imatrix, types: ["Q3_K", "Q4_K", "Q5_K", "Q6_K"] });
  const campaign = await planned("c", { plan, splitMaxSize: "1.5MB" });
  expect(campaign.jobs).toBe(3);
  const rows = campaign.units.flatMap(({ of }) => (of as { pieces: { tensor: string }[] }).pieces);
  // some tensors are cut, and some are together
  expect(campaign.units.length).toBeGreaterThan(3);
  const names = campaign.units.map(({ of }) => quantizeStage.name(of));
  expect(names).toContainEqual(expect.stringMatching(/^\S+, rows 0 to \d+$/));
  expect(names).toContainEqual(expect.stringMatching(/^\S+ to \S+$/));
  expect(rows.length).toBeGreaterThan(new Set(rows.map(({ tensor }) => tensor)).size);
  for (const index of [2, 0, 1]) await runShard(within("c"), index, bench);
  const { document } = await mergeShards(within("c"), { output: within("merged.gguf") }, bench);
  const whole = await quantizePlan(plan, { output: within("whole.gguf"), splitMaxSize: "1.5MB" }, bench);
  const ours = await filesOf(document as typeof whole);
  const theirs = await filesOf(whole);
  expect(ours.length).toBeGreaterThan(2);
  expect(ours.map((file, index) => file.equals(theirs[index] as Buffer))).toEqual(theirs.map(() => true));
});

test("a value that is damaged or gone is named, and made again", async () => {
  const plan = await writePlan("plain.json");
  await planned("d", { plan });
  await runShard(within("d"), undefined, bench);
  const parts = within("d/parts");
  const values = (await readdir(parts)).filter((name) => name.endsWith(".bin")).sort();
  const [one = "", other = ""] = values;
  const bytes = await readFile(join(parts, one));
  bytes[5] = (bytes[5] as number) ^ 1;
  await writeFile(join(parts, one), bytes);
  const merge = () => mergeShards(within("d"), { output: within("d.gguf") }, bench);
  await expect(merge()).rejects.toThrow(/damaged .* its part was taken away/);
  await expect(merge()).rejects.toThrow(/1 of \d+ parts are missing/);
  await rm(join(parts, other));
  await runShard(within("d"), undefined, bench);
  await expect(merge()).rejects.toThrow(/is not there/);
  await expect(readFile(within("d.gguf"))).rejects.toThrow();
  await runShard(within("d"), undefined, bench);
  await expect(merge()).resolves.toBeDefined();
});

test("options of another stage, and a stage without its plan, are refused", async () => {
  await expect(planned("e", {})).rejects.toThrow(/--plan/);
  await expect(planned("e", { stage: "analysis", plan: "plan.json" })).rejects.toThrow(/--plan/);
  await expect(planned("e", { targetRelativeSe: 0.1, plan: "plan.json" })).rejects.toThrow(/--target-se/);
  const plan = await writePlan("e.json");
  const imatrix = await writeMadeUpImatrix(MODEL, within("other.gguf"));
  await expect(planned("e", { plan, imatrix })).rejects.toThrow(/was made without an importance matrix/);
  await expect(readdir(within("e"))).rejects.toThrow("ENOENT");
});

test("codes chosen layer by layer are those of one machine to the byte, whatever memory and threads it has", async () => {
  const kinds = join(import.meta.dirname, "../../data/calibration");
  const calibration: string[] = [];
  for (const kind of ["prose", "dialogue"]) {
    await writeFile(within(`${kind}.txt`), (await readFile(join(kinds, `${kind}.txt`), "utf8")).slice(0, 4000));
    calibration.push(within(`${kind}.txt`));
  }
  const plan = await writePlan("coded.json", { budget: { kind: "bpw", value: 16 }, constraints: FEW_CODES });
  const campaign = await planned("f", { plan, feedback: true, calibration });
  const pieces = campaign.units.map(({ of }) => (of as { pieces: { tensor: string }[] }).pieces);
  const layers = pieces.map((unit) => new Set(unit.map(({ tensor }) => /^blk\.\d+/.exec(tensor)?.[0] ?? tensor)));
  expect(campaign.units.length).toBeGreaterThan(2);
  // no layer is in two units
  expect(layers.reduce((sum, { size }) => sum + size, 0)).toBe(new Set(layers.flatMap((unit) => [...unit])).size);
  // one layer's inputs at a time
  const small = { ...bench, threads: 1, memoryBytes: 2 ** 20 };
  for (const index of [2, 0, 1]) await runShard(within("f"), index, index === 2 ? small : bench);
  const { document } = await mergeShards(within("f"), { output: within("f.gguf") }, bench);
  const whole = await quantizePlan(plan, { output: within("g.gguf"), feedback: true, calibration }, bench);
  expect((await readFile(within("f.gguf"))).equals(await readFile(within("g.gguf")))).toBe(true);
  const { feedback } = document as typeof whole;
  expect(feedback).toEqual(whole.feedback);
  expect(feedback?.chosen).toBeGreaterThan(5);
});

test("text for codes is refused where no codes are chosen", async () => {
  await expect(planned("h", { plan: await writePlan("h.json"), calibration: ["a.txt"] })).rejects.toThrow(/--feedback/);
  await expect(planned("h", { stage: "analysis", feedback: true })).rejects.toThrow(/--feedback/);
});
