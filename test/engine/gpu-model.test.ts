import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { openEmbeddedEngine } from "../../src/engine/embedded.ts";
import { writeSmallModel } from "./small-model.ts";
import { COMPILING_MS, vulkanProblem, whyNot } from "./vulkan.ts";

const CONTEXT = 32;
const ids = Int32Array.from({ length: 2 * CONTEXT }, (_, at) => (37 * at) % 250);
const tokens = { context: CONTEXT, chunks: 2, ids };

let dir: string;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), "prism-gpu-model-"));
});
afterAll(() => rm(dir, { recursive: true, force: true }));

async function decodeOn(gpuLayers: number) {
  const engine = await openEmbeddedEngine({ threads: 1, gpuLayers });
  const model = await writeSmallModel(dir, "model");
  const loaded = await engine.library.load({ model, context: CONTEXT, threads: 1, gpuLayers });
  const { nll } = await loaded.score({ tokens, first: 0, count: 2 });
  const sums = await loaded.importance({ tokens, head: true });
  const weights = ["blk.0.ffn_down.weight", "blk.1.attn_q.weight"];
  const collected = await loaded.collectInputs({ texts: [tokens, tokens], weights });
  await loaded.close();
  await engine.close();
  return { nll, sums, collected };
}

describe.skipIf(vulkanProblem !== undefined)(`a model on a device${whyNot}`, () => {
  it(
    "scores and sums the inputs of its weights as on the processor, but for rounding",
    async () => {
      const processor = await decodeOn(0);
      for (const layers of [3, 1]) {
        const device = await decodeOn(layers);
        for (const [at, nll] of device.nll.entries())
          expect(Math.abs(nll - (processor.nll[at] ?? 0))).toBeLessThan(0.1);
        expect(device.nll).not.toEqual(processor.nll);
        expect([...device.sums.keys()].sort()).toEqual([...processor.sums.keys()].sort());
        for (const [name, { sums, counts }] of device.sums) {
          const own = processor.sums.get(name);
          expect(counts).toEqual(own?.counts);
          const off = sums.reduce((sum, x, at) => sum + Math.abs(x - (own?.sums[at] ?? 0)), 0);
          expect(off / sums.reduce((sum, x) => sum + x, 0)).toBeLessThan(0.02);
        }
        expect(device.collected).toEqual(processor.collected);
      }
    },
    COMPILING_MS,
  );
});
