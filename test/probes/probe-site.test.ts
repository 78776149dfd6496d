import { lstat, mkdtemp, readdir, readFile, rm, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Analysis } from "../../src/analyze/analysis.ts";
import { type Bench, DEFAULT_LOGITS_LIMIT_BYTES, SILENT } from "../../src/bench.ts";
import { type EmbeddedEngine, openEmbeddedEngine } from "../../src/engine/embedded.ts";
import type { EvaluationTokens, LoadedModel } from "../../src/engine/engine.ts";
import type { OpenModel } from "../../src/gguf/model.ts";
import { openLocalModel } from "../../src/gguf/open.ts";
import { keyBytesOf, partPaths, partsOf, writeParts } from "../../src/gguf/split.ts";
import { planFromTypes } from "../../src/plan/plan-from-types.ts";
import {
  type OpenSite,
  openProbeSite,
  type ProbeSite,
  type ProbeSiteRequest,
  type ProbeTypes,
} from "../../src/probes/probe-site.ts";
import { planSpec } from "../../src/quantize/plan-spec.ts";
import { quantize } from "../../src/quantize/quantize.ts";
import { createRandom } from "../../src/random.ts";
import { uniformSensitivity } from "../../src/sensitivity/sensitivity.ts";
import { testBench } from "../bench.ts";
import { writeSmallModel } from "../engine/small-model.ts";
import { madeUpAnalysis } from "../quantize/made-up-analysis.ts";
import { measureAll } from "./measure-all.ts";

const CONTEXT = 32;
let dir: string;
let engine: EmbeddedEngine;
let bench: Bench;
let model: string;
let source: OpenModel;
let analysis: Analysis;
let site: OpenSite;

function drawTokens(chunks: number, seed: number): EvaluationTokens {
  const random = createRandom(seed);
  return {
    context: CONTEXT,
    chunks,
    ids: Int32Array.from({ length: CONTEXT * chunks }, () => Math.floor(random() * 256)),
  };
}

const probes = drawTokens(16, 1);
const request = (more: Partial<ProbeSiteRequest> = {}): ProbeSiteRequest => ({
  analysis,
  context: CONTEXT,
  scratch: join(dir, "scratch"),
  textOf: async () => ({ probes, trial: drawTokens(4, 2), source: "sampled" }),
  ...more,
});

const measureProbe = (on: ProbeSite, types: ProbeTypes) => measureAll(on, types, bench.signal);

const scoreOf = (loaded: LoadedModel) => loaded.score({ tokens: probes, first: 0, count: 4 });

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), "prism-bench-"));
  engine = await openEmbeddedEngine({ threads: 1 });
  bench = testBench(engine);
  model = await writeSmallModel(dir, "model");
  source = await openLocalModel(model);
  analysis = await madeUpAnalysis(model);
  site = await openProbeSite(source, request(), bench);
});
afterAll(async () => {
  await site.close();
  await source.close();
  await engine.close();
  await rm(dir, { recursive: true, force: true });
});

const DOWN = "blk.1.ffn_down.weight";

describe.skipIf(process.platform === "win32")("probes in place", () => {
  it("need no file of their own, and leave the source as it is", async () => {
    const before = await readFile(model);
    expect(site.kind).toBe("in-place");
    await measureProbe(site, new Map([[DOWN, "Q4_0"]]));
    expect(await readFile(model)).toEqual(before);
  });

  it("put everything back to the bit, also after a failure", async () => {
    const before = await site.degrade(new Map(), scoreOf);
    const degraded = await site.degrade(new Map([[DOWN, "Q4_0"]]), scoreOf);
    expect(degraded.nll).not.toEqual(before.nll);
    expect(await site.degrade(new Map(), scoreOf)).toEqual(before);
    const failing = site.degrade(new Map([["output.weight", "Q4_0"]]), () => Promise.reject(new Error("no")));
    await expect(failing).rejects.toThrow("no");
    expect(await site.degrade(new Map(), scoreOf)).toEqual(before);
  });

  it("give nothing where nothing is degraded, more where more is, and nearly the sum of the parts together", async () => {
    const { chunks, kld: none } = await measureProbe(site, new Map());
    expect(chunks).toBe(16);
    expect(Math.abs(none)).toBeLessThan(1e-6);
    const one = await measureProbe(site, new Map([[DOWN, "Q4_0"]]));
    const other = await measureProbe(site, new Map([["output.weight", "Q4_0"]]));
    const both = await measureProbe(
      site,
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
    const simulated = await measureProbe(site, types);
    const plan = planFromTypes({ analysis, sensitivity: uniformSensitivity(analysis), types, text: "a probe" });
    const spec = planSpec(plan, join(dir, "real.gguf"));
    await quantize(source, spec, {}, bench);
    const real = await engine.library.load({ model: spec.output, context: CONTEXT, threads: 1, gpuLayers: 0 });
    const reference = await site.refer(probes);
    const kld = await reference.measure(real, { first: 0, count: simulated.chunks });
    await real.close();
    const mean = kld.reduce((sum, value) => sum + value, 0) / kld.length;
    expect(simulated.kld / mean).toBeGreaterThan(0.7);
    expect(simulated.kld / mean).toBeLessThan(1.3);
  });
});

describe.skipIf(process.platform === "win32")("a plan held in place", () => {
  const UP = "blk.0.ffn_up.weight";
  const plan: ProbeTypes = new Map([
    [DOWN, "Q4_0"],
    [UP, "Q5_0"],
  ]);
  const whole = (on: Pick<ProbeSite, "degrade">, types: ProbeTypes) => on.degrade(types, scoreOf);

  it("is what moves of it return to, and what it is itself put back in the end, also after a failure", async () => {
    const [asIs, planned] = [await whole(site, new Map()), await whole(site, plan)];
    const moved = await whole(site, new Map([...plan, [UP, "Q8_0"]]));
    await site.hold(plan, async (held) => {
      expect(await whole(held, new Map())).toEqual(planned);
      expect(await whole(held, new Map([[UP, "Q8_0"]]))).toEqual(moved);
      const failing = held.degrade(new Map([["output.weight", "Q4_0"]]), () => Promise.reject(new Error("no")));
      await expect(failing).rejects.toThrow("no");
      expect(await whole(held, new Map())).toEqual(planned);
    });
    expect(await whole(site, new Map())).toEqual(asIs);
    await expect(site.hold(plan, () => Promise.reject(new Error("no")))).rejects.toThrow("no");
    expect(await whole(site, new Map())).toEqual(asIs);
  });

  it("writes only the tensors that a move changes", async () => {
    const written: string[] = [];
    const rewrite: EmbeddedEngine["library"]["rewrite"] = (job) => {
      written.push(...job.tensors.map(({ name }) => `${name} ${job.type}`));
      return engine.library.rewrite(job);
    };
    const spied = { ...engine, library: { ...engine.library, rewrite } };
    const watched = await openProbeSite(source, request({ scratch: join(dir, "scratch-watched") }), testBench(spied));
    written.length = 0;
    await watched.hold(plan, async (held) => {
      expect(written.splice(0)).toEqual([`${DOWN} Q4_0`, `${UP} Q5_0`]);
      await whole(held, new Map([...plan, [UP, "Q8_0"]]));
      expect(written.splice(0)).toEqual([`${UP} Q8_0`, `${UP} Q5_0`]);
    });
    expect(written).toEqual([`${DOWN} undefined`, `${UP} undefined`]);
    await watched.close();
  });
});

describe.skipIf(process.platform === "win32")("a site in place", () => {
  it("decodes the reference of a trial beside it where its logits don't fit, and removes its copy", async () => {
    const scratch = join(dir, "scratch-full");
    const full = await openProbeSite(source, request({ scratch }), bench);
    // more than the logits may take, without a block on the disk
    await writeFile(join(scratch, "logits", "other.logits"), "");
    await truncate(join(scratch, "logits", "other.logits"), 2 * DEFAULT_LOGITS_LIMIT_BYTES);
    expect(await full.refer(full.text.probes)).toMatchObject({ isKept: true });
    const reference = await full.refer(full.text.trial);
    expect(reference.isKept).toBe(false);
    const same = await engine.library.load({ model, context: CONTEXT, threads: 1, gpuLayers: 0 });
    const kld = await reference.measure(same, { first: 0, count: 4 });
    await same.close();
    for (const value of kld) expect(Math.abs(value)).toBeLessThan(1e-4);
    await full.close();
    expect(await readdir(scratch)).toEqual(["logits"]);
  });
});

describe.skipIf(process.platform === "win32")("a split model in place", () => {
  it("has only the shards copied that are degraded, and gives what the whole file does", async () => {
    const split = { maxBytes: 60_000 };
    const keyBytes = keyBytesOf(source.model.keyValues);
    const parts = partsOf(source.model.tensors, keyBytes, split);
    expect(parts.length).toBeGreaterThan(3);
    const folder = await mkdtemp(join(dir, "split-"));
    await writeParts(source, parts, split, partPaths(join(folder, "m.gguf"), parts.length));
    const shards = await openLocalModel(join(folder, (await readdir(folder)).sort()[0] as string));
    const before = await Promise.all(shards.model.shards.map(({ path }) => readFile(path)));
    const scratch = join(dir, "scratch-split");
    const opened = await openProbeSite(shards, request({ scratch }), bench);
    const copies = async () => {
      const stats = shards.model.shards.map(({ path }) => lstat(join(scratch, "probed", basename(path))));
      return (await Promise.all(stats)).flatMap((found, shard) => (found.isSymbolicLink() ? [] : [shard]));
    };
    const shardOf = (name: string) => shards.model.tensors.find((tensor) => tensor.name === name)?.shard as number;
    const [head, down] = [shardOf("output.weight"), shardOf(DOWN)];
    expect([opened.kind, await copies(), head === down]).toEqual(["in-place", [head], false]);
    for (const types of [new Map([["output.weight", "Q4_0"]]), new Map([[DOWN, "Q4_0"]])] as ProbeTypes[])
      expect(await measureProbe(opened, types)).toEqual(await measureProbe(site, types));
    expect(await copies()).toEqual([head, down].sort());
    await opened.hold(new Map([[DOWN, "Q4_0"]]), async (held) => {
      // another shard is copied, and the model loaded anew, while it is degraded
      const norm: ProbeTypes = new Map([["blk.0.ffn_up.weight", "Q5_0"]]);
      const more: ProbeTypes = new Map([[DOWN, "Q4_0"], ...norm]);
      expect(await held.degrade(norm, scoreOf)).toEqual(await site.degrade(more, scoreOf));
    });
    expect(await opened.degrade(new Map(), scoreOf)).toEqual(await site.degrade(new Map(), scoreOf));
    await opened.close();
    expect(await Promise.all(shards.model.shards.map(({ path }) => readFile(path)))).toEqual(before);
    await shards.close();
  });
});

describe.skipIf(process.platform === "win32")("a model without a head to check a site with", () => {
  it("is checked with another tensor, and refused where there is none", async () => {
    const kindWithout = async (without: (name: string) => boolean) => {
      const tensors = analysis.tensors.map((tensor) => ({
        ...tensor,
        eligible: tensor.eligible && !without(tensor.name),
      }));
      const scratch = join(dir, "scratch-headless");
      const opened = await openProbeSite(source, request({ scratch, analysis: { ...analysis, tensors } }), bench);
      await opened.close();
      return opened.kind;
    };
    expect(await kindWithout((name) => name === "output.weight")).toBe("in-place");
    expect(await kindWithout(() => true)).toBe("file");
  });
});

describe("probes as files", () => {
  it("serve a source that is quantized already, and say why", async () => {
    const sensitivity = uniformSensitivity(analysis);
    const types = new Map(
      analysis.tensors.filter(({ eligible }) => eligible).map(({ name }) => [name, "Q8_0"] as const),
    );
    const spec = planSpec(planFromTypes({ analysis, sensitivity, types, text: "all" }), join(dir, "q8.gguf"));
    await quantize(source, spec, {}, bench);
    const notes: string[] = [];
    const quantized = await openLocalModel(spec.output);
    const asFiles = await openProbeSite(
      quantized,
      request({
        analysis: await madeUpAnalysis(spec.output),
        scratch: join(dir, "scratch-q8"),
        allowRequantize: true,
      }),
      testBench(engine, { progress: { ...SILENT, note: (text) => notes.push(text) } }),
    );
    expect(asFiles.kind).toBe("file");
    expect(notes.join()).toMatch(/is quantized already/);
    const measured = await measureProbe(asFiles, new Map([[DOWN, "Q4_0"]]));
    expect(measured.kld).toBeGreaterThan(1e-6);
    // the types of a plan that is held are in the file of a move of it
    const other: ProbeTypes = new Map([["output.weight", "Q4_0"]]);
    const held = await asFiles.hold(other, (on) => measureAll(on, new Map([[DOWN, "Q4_0"]]), bench.signal));
    expect(held).toEqual(await measureProbe(asFiles, new Map([...other, [DOWN, "Q4_0"]])));
    await asFiles.close();
    await quantized.close();
  });
});
