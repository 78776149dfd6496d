import { mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type EmbeddedEngine, openEmbeddedEngine } from "../../src/engine/embedded.ts";
import type { LoadedModel } from "../../src/engine/engine.ts";
import { writeRunnable } from "../fixtures/runnable.ts";
import { writeSmallModel } from "./small-model.ts";

let dir: string;
let engine: EmbeddedEngine;

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), "prism-sampling-"));
  engine = await openEmbeddedEngine({ threads: 1 });
});
afterAll(async () => {
  await engine.close();
  await rm(dir, { recursive: true });
});

const load = (model: string): Promise<LoadedModel> =>
  engine.library.load({ model, context: 96, threads: 1, gpuLayers: 0 });
const keptIn = (name: string) => ({ path: join(dir, name, "text"), limitBytes: 1e9, everyMs: 0 });
const ASKED = { sequences: 4, length: 96, seed: 7 };

/** Stop after so many steps; the engine's process is killed, so the model is loaded anew. */
async function interrupt(path: string, kept: ReturnType<typeof keptIn>, steps: number): Promise<void> {
  const stop = new AbortController();
  const model = await load(path);
  const stopped = model.sample({
    ...ASKED,
    kept,
    signal: stop.signal,
    onProgress: (done) => {
      if (done === steps) stop.abort(new Error("stopped"));
    },
  });
  await expect(stopped).rejects.toThrow("stopped");
}

describe("sampling that is interrupted", () => {
  it.each(["books", "qwen35"] as const)(
    "of %s goes on, twice, and gives the same text to the last token",
    async (of) => {
      // one of attention alone, and one with recurrent states
      const path = of === "books" ? "models/books-llama-8m-f16.gguf" : await writeRunnable(of, dir);
      const whole = await load(path);
      const expected = await whole.sample(ASKED);
      await whole.close();

      const kept = keptIn(of);
      await interrupt(path, kept, 20);
      await interrupt(path, kept, 60);
      const model = await load(path);
      const steps: number[] = [];
      const notes: string[] = [];
      const ids = await model.sample({
        ...ASKED,
        kept,
        onProgress: (done) => steps.push(done),
        onNote: (note) => notes.push(note),
      });
      expect(steps[0]).toBeGreaterThanOrEqual(60);
      expect(notes.join()).toMatch(/going on with sampled text after \d\d of 96 tokens/);
      expect(ids).toEqual(expected);
      expect(await readdir(join(dir, of))).toEqual([]);
      await model.close();
    },
  );

  it("begins anew where what was kept is damaged or of another request", async () => {
    const path = await writeSmallModel(dir, "small");
    const model = await load(path);
    const expected = await model.sample(ASKED);
    await model.close();
    const kept = keptIn("small");
    await interrupt(path, kept, 20);
    const other = await load(path);
    const shorter = await other.sample({ ...ASKED, sequences: 2, kept });
    expect(shorter).toHaveLength(2 * 96);
    await other.close();

    await interrupt(path, kept, 20);
    for (const turn of [0, 1]) await writeFile(`${kept.path}.state-${turn}`, "no state");
    const again = await load(path);
    const steps: number[] = [];
    expect(await again.sample({ ...ASKED, kept, onProgress: (done) => steps.push(done) })).toEqual(expected);
    expect(steps[0]).toBe(1);
    await again.close();
  });
});
