import { mkdtemp, readdir, readFile, rm, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Analysis } from "../../src/analyze/analysis.ts";
import { openEmbeddedEngine } from "../../src/engine/embedded.ts";
import type { Engine, EvaluationTokens, LoadedModel } from "../../src/engine/engine.ts";
import { DEFAULT_CACHE_LIMIT_BYTES } from "../../src/evaluate/evaluate-options.ts";
import { planFromTypes } from "../../src/plan/plan-from-types.ts";
import { measureProbe } from "../../src/probes/measure-probe.ts";
import { openProbeBench, type ProbeBench, type ProbeBenchOptions } from "../../src/probes/probe-bench.ts";
import { planSpec } from "../../src/quantize/plan-spec.ts";
import { quantize } from "../../src/quantize/quantize.ts";
import { createRandom } from "../../src/random.ts";
import { uniformSensitivity } from "../../src/sensitivity/sensitivity.ts";
import { writeSmallModel } from "../engine/small-model.ts";
import { madeUpAnalysis } from "../quantize/made-up-analysis.ts";

const CONTEXT = 32;
let dir: string;
let engine: Engine;
let model: string;
let analysis: Analysis;
let bench: ProbeBench;

function drawTokens(chunks: number, seed: number): EvaluationTokens {
  const random = createRandom(seed);
  return {
    context: CONTEXT,
    chunks,
    ids: Int32Array.from({ length: CONTEXT * chunks }, () => Math.floor(random() * 256)),
  };
}

const probes = drawTokens(16, 1);
const options = (more: Partial<ProbeBenchOptions> = {}): ProbeBenchOptions => ({
  engine,
  model,
  analysis,
  context: CONTEXT,
  threads: 1,
  gpuLayers: 0,
  scratch: join(dir, "scratch"),
  textOf: async () => ({ probes, trial: drawTokens(4, 2), source: "sampled" }),
  ...more,
});

const scoreOf = (loaded: LoadedModel) => loaded.score({ tokens: probes, first: 0, count: 4 });

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), "prism-bench-"));
  engine = await openEmbeddedEngine({ threads: 1 });
  model = await writeSmallModel(dir, "model");
  analysis = await madeUpAnalysis(model);
  bench = await openProbeBench(options());
});
afterAll(async () => {
  await bench.close();
  await engine.close();
  await rm(dir, { recursive: true, force: true });
});

const DOWN = "blk.1.ffn_down.weight";

describe.skipIf(process.platform === "win32")("probes in place", () => {
  it("need no file of their own, and leave the source as it is", async () => {
    const before = await readFile(model);
    expect(bench.kind).toBe("in-place");
    await measureProbe(bench, new Map([[DOWN, "Q4_0"]]));
    expect(await readFile(model)).toEqual(before);
  });

  it("put everything back to the bit, also after a failure", async () => {
    const before = await bench.degrade(new Map(), scoreOf);
    const degraded = await bench.degrade(new Map([[DOWN, "Q4_0"]]), scoreOf);
    expect(degraded.nll).not.toEqual(before.nll);
    expect(await bench.degrade(new Map(), scoreOf)).toEqual(before);
    const failing = bench.degrade(new Map([["output.weight", "Q4_0"]]), () => Promise.reject(new Error("no")));
    await expect(failing).rejects.toThrow("no");
    expect(await bench.degrade(new Map(), scoreOf)).toEqual(before);
  });

  it("give nothing where nothing is degraded, more where more is, and nearly the sum of the parts together", async () => {
    const { chunks, kld: none } = await measureProbe(bench, new Map());
    expect(chunks).toBe(16);
    expect(Math.abs(none)).toBeLessThan(1e-6);
    const one = await measureProbe(bench, new Map([[DOWN, "Q4_0"]]));
    const other = await measureProbe(bench, new Map([["output.weight", "Q4_0"]]));
    const both = await measureProbe(
      bench,
      new Map([
        [DOWN, "Q4_0"],
        ["output.weight", "Q4_0"],
      ]),
    );
    expect(one.kld).toBeGreaterThan(100 * Math.abs(none));
    expect(both.kld / (one.kld + other.kld)).toBeGreaterThan(0.7);
    expect(both.kld / (one.kld + other.kld)).toBeLessThan(1.4);
  });

  it("agree with the really quantized file but for its activations", async () => {
    const types = new Map([["output.weight", "Q4_0"]] as const);
    const simulated = await measureProbe(bench, types);
    const plan = planFromTypes({ analysis, sensitivity: uniformSensitivity(analysis), types, text: "a probe" });
    const spec = planSpec(plan, model, join(dir, "real.gguf"));
    await quantize(spec, { engine, threads: 1 });
    const real = await engine.load({ model: spec.output, context: CONTEXT, threads: 1, gpuLayers: 0 });
    const reference = await bench.refer(probes);
    const { kld = new Float64Array() } = await real.score({
      tokens: probes,
      first: 0,
      count: simulated.chunks,
      reference,
    });
    await real.close();
    const mean = kld.reduce((sum, value) => sum + value, 0) / kld.length;
    expect(simulated.kld / mean).toBeGreaterThan(0.7);
    expect(simulated.kld / mean).toBeLessThan(1.3);
  });
});

describe.skipIf(process.platform === "win32")("a bench in place", () => {
  it("decodes the reference of a trial beside it where its logits don't fit, and removes its copy", async () => {
    const scratch = join(dir, "scratch-full");
    const full = await openProbeBench(options({ scratch }));
    // more than the logits may take, without a block on the disk
    await writeFile(join(scratch, "logits", "other.logits"), "");
    await truncate(join(scratch, "logits", "other.logits"), 2 * DEFAULT_CACHE_LIMIT_BYTES);
    expect(await full.refer(full.text.probes)).toHaveProperty("logits");
    const reference = await full.refer(full.text.trial);
    expect(reference).toHaveProperty("loaded");
    const same = await engine.load({ model, context: CONTEXT, threads: 1, gpuLayers: 0 });
    const { kld = [] } = await same.score({ tokens: full.text.trial, first: 0, count: 4, reference });
    await same.close();
    for (const value of kld) expect(Math.abs(value)).toBeLessThan(1e-4);
    await full.close();
    expect(await readdir(scratch)).toEqual(["logits"]);
  });
});

describe("probes as files", () => {
  it("serve a source that is quantized already, and say why", async () => {
    const sensitivity = uniformSensitivity(analysis);
    const types = new Map(
      analysis.tensors.filter(({ eligible }) => eligible).map(({ name }) => [name, "Q8_0"] as const),
    );
    const spec = planSpec(planFromTypes({ analysis, sensitivity, types, text: "all" }), model, join(dir, "q8.gguf"));
    await quantize(spec, { engine, threads: 1 });
    const notes: string[] = [];
    const asFiles = await openProbeBench(
      options({
        model: spec.output,
        analysis: await madeUpAnalysis(spec.output),
        scratch: join(dir, "scratch-q8"),
        allowRequantize: true,
        onNote: (note) => notes.push(note),
      }),
    );
    expect(asFiles.kind).toBe("file");
    expect(notes.join()).toMatch(/is quantized already/);
    expect((await measureProbe(asFiles, new Map([[DOWN, "Q4_0"]]))).kld).toBeGreaterThan(1e-6);
    await asFiles.close();
  });
});
