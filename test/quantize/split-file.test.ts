import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseGGUFQuantLabel } from "@huggingface/gguf";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { UsageError } from "../../src/errors.ts";
import { openModel } from "../../src/gguf/open.ts";
import { keyBytesOf, partPaths, partsOf, writeParts } from "../../src/gguf/split.ts";
import { type OpenedBench, openBench } from "../../src/open-bench.ts";
import { makePlan } from "../../src/plan/make-plan.ts";
import type { Plan } from "../../src/plan/plan.ts";
import { parseSplitSize } from "../../src/quantize/split-file.ts";
import { uniformSensitivity } from "../../src/sensitivity/sensitivity.ts";
import { quantizePlan } from "../../src/verbs/quantize.ts";
import { madeUpAnalysis } from "./made-up-analysis.ts";

const MODEL = join(import.meta.dirname, "../../models/books-llama-8m-f16.gguf");

let folder: string;
let bench: OpenedBench;
let planned: Plan;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "prism-split-file-"));
  bench = await openBench({ threads: 2, backend: "reference", cacheDir: "none" });
  planned = await planOf(MODEL);
});
afterAll(async () => {
  await bench.close();
  await rm(folder, { recursive: true, force: true });
});

async function planOf(path: string): Promise<Plan> {
  const analysis = await madeUpAnalysis(path);
  return makePlan({
    analysis,
    sensitivity: uniformSensitivity(analysis),
    budget: { kind: "like", fileType: "Q3_K_M" },
  });
}

const loads = async (model: string) =>
  bench.engine.library?.tryLoad({ model, decode: true, threads: 2, signal: new AbortController().signal });
const within = (name: string) => join(folder, name);

describe("a quantized file in parts", () => {
  it("has the plan's types, no file larger than asked, and llama.cpp decodes with it", async () => {
    const output = within("m-PRISM-4.15bpw-Q3_K_M.gguf");
    const made = await quantizePlan(planned, { output, splitMaxSize: "1.5MB" }, bench);
    const names = (made.parts ?? []).map(({ path }) => path);
    expect(names).toEqual(partPaths(output, names.length));
    expect(names.length).toBeGreaterThan(2);
    expect(made.path).toBe(names[0]);
    for (const { fileBytes } of made.parts ?? []) expect(fileBytes).toBeLessThanOrEqual(1.5e6);
    expect(made.fileBytes).toBe((made.parts ?? []).reduce((sum, { fileBytes }) => sum + fileBytes, 0));
    // the Hub reads its tag from every part
    expect(names.map((name) => parseGGUFQuantLabel(name))).toEqual(names.map(() => "Q3_K_M"));
    const read = await openModel(made.path);
    const types = new Map(read.model.tensors.map(({ name, type }) => [name, type]));
    await read.close();
    expect(planned.tensors.every(({ name, type }) => types.get(name) === type)).toBe(true);
    expect(await loads(made.path)).toMatchObject({ loads: true });
    // and nothing else: no whole file, nothing half written
    expect((await readdir(folder)).filter((name) => /m-PRISM|part$/.test(name)).sort()).toEqual(
      names.map((name) => name.slice(folder.length + 1)),
    );
    await expect(quantizePlan(planned, { output, splitMaxSize: "1.5MB" }, bench)).rejects.toThrow(/exists already/);
  });

  it("stays one file where it is small enough", async () => {
    const made = await quantizePlan(planned, { output: within("small.gguf"), splitMaxSize: "50G" }, bench);
    expect(made.parts).toBeUndefined();
    expect(made.path).toBe(within("small.gguf"));
    expect(made.fileBytes).toBe(planned.predicted.fileBytes);
  });

  it("is refused before the work where a tensor is too large, or a part would be an input", async () => {
    const output = within("none.gguf");
    await expect(quantizePlan(planned, { output, splitMaxSize: "100kB" }, bench)).rejects.toThrow(/alone takes/);
    const both = { output, splitMaxSize: "1GB", keepSplit: true };
    await expect(quantizePlan(planned, both, bench)).rejects.toThrow(UsageError);
    expect((await readdir(folder)).some((name) => name.includes("none"))).toBe(false);
  });

  it("has the parts of its source with --keep-split, and writes over none of them", async () => {
    const whole = await openModel(MODEL);
    const split = { maxBytes: 7e6 };
    const parts = partsOf(whole.model.tensors, keyBytesOf(whole.model.keyValues), split);
    const paths = partPaths(within("source.gguf"), parts.length);
    await writeParts(whole, parts, split, paths);
    await whole.close();
    const [source = ""] = paths;
    const own = await planOf(source);
    const made = await quantizePlan(own, { output: within("kept.gguf"), keepSplit: true }, bench);
    const tensorsOf = async (path: string) => {
      const file = await openModel(path);
      await file.close();
      return file.model.tensors.map(({ name, shard }) => `${shard} ${name}`);
    };
    expect(await tensorsOf(made.path)).toEqual(await tensorsOf(source));
    expect(made.verified.loaded).toBe("decoded");
    const over = { output: within("source.gguf"), keepSplit: true, force: true };
    await expect(quantizePlan(own, over, bench)).rejects.toThrow(/is an input too/);
  });
});

it.each([
  ["50GB", 50e9],
  ["50G", 50e9],
  ["800M", 800e6],
  ["2GiB", 2 * 2 ** 30],
  [undefined, undefined],
])("--split-max-size %s is %s bytes", (text, bytes) => {
  expect(parseSplitSize(text)).toBe(bytes);
});

it.each(["0GB", "big", "50g"])("--split-max-size %s is refused", (text) => {
  expect(() => parseSplitSize(text)).toThrow(/--split-max-size: size/);
});
