import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Bench } from "../../src/bench.ts";
import { openEmbeddedEngine } from "../../src/engine/embedded.ts";
import type { EvaluationTokens } from "../../src/engine/engine.ts";
import type { OpenModel } from "../../src/gguf/model.ts";
import { openLocalModel } from "../../src/gguf/open.ts";
import { openFileSite } from "../../src/probes/file-site.ts";
import { type OpenSite, openProbeSite, type ProbeSiteRequest, type ProbeTypes } from "../../src/probes/probe-site.ts";
import { createRandom } from "../../src/random.ts";
import { testBench } from "../bench.ts";
import { writeSmallModel } from "../engine/small-model.ts";
import { COMPILING_MS, vulkanProblem, whyNot } from "../engine/vulkan.ts";
import { qwen3Family } from "../fixtures/families.ts";
import { madeUpAnalysis } from "../quantize/made-up-analysis.ts";
import { measureAll } from "./measure-all.ts";

const CONTEXT = 32;
const random = createRandom(1);
const drawTokens = (chunks: number): EvaluationTokens => ({
  context: CONTEXT,
  chunks,
  ids: Int32Array.from({ length: CONTEXT * chunks }, () => Math.floor(random() * 256)),
});
const [probes, trial] = [drawTokens(4), drawTokens(2)];
const KINDS = ["token_embd.weight", "blk.0.attn_q.weight", "blk.1.ffn_down.weight"] as const;

let dir: string;
let source: OpenModel;
let request: ProbeSiteRequest;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), "prism-device-site-"));
  // its embeddings are its head: on a device they lie twice
  const model = await writeSmallModel(dir, "tied", {
    family: qwen3Family({ layers: 2, d: 64, ff: 128, heads: 2, kvHeads: 1 }),
  });
  source = await openLocalModel(model);
  request = {
    analysis: await madeUpAnalysis(model),
    context: CONTEXT,
    scratch: join(dir, "scratch"),
    textOf: async () => ({ probes, trial, source: "sampled" }),
  };
});
afterAll(async () => {
  await source.close();
  await rm(dir, { recursive: true, force: true });
});

/** Probes of each kind on so many layers of the device, at a site. */
async function probeAll(layers: number, open: typeof openProbeSite, use?: (site: OpenSite) => Promise<void>) {
  const engine = await openEmbeddedEngine({ threads: 1, gpuLayers: layers });
  const bench: Bench = testBench(engine, { gpuLayers: layers });
  const site = await open(source, request, bench);
  const klds: number[] = [];
  for (const name of KINDS) {
    const types: ProbeTypes = new Map([[name, "Q4_0"]]);
    klds.push((await measureAll(site, types, bench.signal)).kld);
  }
  await use?.(site);
  await site.close();
  await engine.close();
  return klds;
}

describe.skipIf(vulkanProblem !== undefined)(`probes in place on a device${whyNot}`, () => {
  it.each([
    ["all layers", 3],
    ["one of its layers, the others in memory", 1],
  ])(
    "are those of quantized files there, and nearly those of the processor, without a file: %s",
    async (_, layers) => {
      const inPlace = await probeAll(layers, openProbeSite, async (site) => {
        expect(site.kind).toBe("in-place");
        expect(await readdir(request.scratch)).toEqual(["logits"]);
        const score = () => site.degrade(new Map(), (model) => model.score({ tokens: probes, first: 0, count: 1 }));
        expect(await score()).toEqual(await score());
      });
      const asFiles = await probeAll(layers, (model, asked, bench) => {
        // as the site chosen by default has it
        const cache = { ...bench.cache, dir: asked.scratch };
        return openFileSite(model, asked, { ...bench, cache });
      });
      await rm(request.scratch, { recursive: true });
      const onProcessor = await probeAll(0, openProbeSite);
      await rm(request.scratch, { recursive: true });
      for (const [at, kld] of inPlace.entries()) {
        expect(Math.abs(kld / (asFiles[at] ?? 0) - 1)).toBeLessThan(0.03);
        expect(Math.abs(kld / (onProcessor[at] ?? 0) - 1)).toBeLessThan(0.03);
      }
    },
    COMPILING_MS,
  );
});
