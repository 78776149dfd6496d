import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import type { EmbeddedEngine } from "../../src/engine/embedded.ts";
import type { LoadedModel } from "../../src/engine/engine.ts";
import { makeImatrix } from "../../src/evaluate/make-imatrix.ts";
import { shippedText } from "../../src/evaluate/shipped-text.ts";
import { sampleText } from "../../src/evaluate/text.ts";
import { openLocalModel } from "../../src/gguf/open.ts";
import { readImatrix } from "../../src/imatrix/imatrix.ts";
import { readProbeText } from "../../src/probes/probe-text.ts";
import { seedFromName } from "../../src/random.ts";
import { testBench } from "../bench.ts";
import { paperEngine } from "../run/paper-engine.ts";
import { writePaperSource } from "../run/paper-source.ts";

let dir: string;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), "prism-make-imatrix-"));
});
afterAll(() => rm(dir, { recursive: true }));

/** A paper engine that tells the seed of each batch that is sampled. */
function telling(seeds: number[]): EmbeddedEngine {
  const engine = paperEngine();
  const { library } = engine;
  return {
    ...engine,
    library: {
      ...library,
      async load(options) {
        const loaded = await library.load(options);
        const sample: LoadedModel["sample"] = (asked) => {
          seeds.push(asked.seed);
          return loaded.sample(asked);
        };
        const sampledImportance: LoadedModel["sampledImportance"] = (asked) => {
          // as the child derives them
          for (let batch = 0; batch < asked.chunks / asked.together; batch++)
            seeds.push(seedFromName(`batch ${batch}`, asked.seed));
          return loaded.sampledImportance(asked);
        };
        return { ...loaded, sample, sampledImportance };
      },
    },
  };
}

it("samples none of the text that plans are probed, tried and judged on", async () => {
  const model = await openLocalModel(await writePaperSource(join(dir, "model.gguf")));
  const own: number[] = [];
  const output = join(dir, "imatrix.gguf");
  await makeImatrix(model, { output, context: 16 }, testBench(telling(own)));
  const others: number[] = [];
  const bench = testBench(telling(others));
  const loaded = await telling(others).library.load({ model: model.path, context: 16, threads: 1, gpuLayers: 0 });
  await sampleText(loaded, model, { context: 16, chunks: 320 }, bench);
  await readProbeText(loaded, model, { context: 16, textChunks: 16, trialChunks: 64 }, bench);
  await model.close();
  // of what is timed for the estimates
  const timed = 0;
  expect(others.length).toBeGreaterThan(10);
  expect(own.length).toBeGreaterThan(1);
  expect(own.filter((seed) => seed !== timed && others.includes(seed))).toEqual([]);
  expect((await readImatrix(output)).dataset).toBe("text sampled from the model, seed 0");
});

it("reads the kinds of text of a folder in the order of their names", async () => {
  await writeFile(join(dir, "b.txt"), "second\n");
  await writeFile(join(dir, "a.txt"), "first\n");
  await writeFile(join(dir, "c.md"), "no text to calibrate on\n");
  expect(await shippedText(dir)).toEqual(["first", "second"]);
});
