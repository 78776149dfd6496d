import { describe, expect, it } from "vitest";
import type { Engine } from "../../src/engine/engine.ts";
import { chooseContext } from "../../src/evaluate/evaluate-options.ts";
import { chooseChunks, chunksNeeded, MIN_CHUNKS } from "../../src/evaluate/length-rule.ts";
import type { EvaluationText } from "../../src/evaluate/text.ts";
import { testBench } from "../bench.ts";
import { type FakeModel, fakeModel } from "./fake-model.ts";

const BENCH = testBench({} as Engine);

function textOf(chunks: number): EvaluationText {
  const context = 16;
  return {
    source: "file",
    tokens: { context, chunks, ids: Int32Array.from({ length: chunks * context }, (_, i) => i % 256) },
  };
}

async function choose(text: EvaluationText, pilot: FakeModel, chunks?: number): Promise<EvaluationText> {
  return chooseChunks(fakeModel(), text, async () => pilot, { chunks }, BENCH);
}

describe("the length rule", () => {
  it("asks for the chunks that bring the error to 5 %, with a fifth more, within the text", () => {
    expect(chunksNeeded(0.1, 20, 1000)).toBe(96);
    expect(chunksNeeded(0.05, 20, 1000)).toBe(24);
    expect(chunksNeeded(0.01, 20, 1000)).toBe(MIN_CHUNKS);
    expect(chunksNeeded(3, 20, 150)).toBe(150);
    expect(chunksNeeded(0, 20, 1000)).toBe(MIN_CHUNKS);
  });

  it("measures a pilot of 20 chunks, cuts the text to what it asks for, and closes the pilot", async () => {
    // 7 rows a chunk, 140 in the pilot; alternating 0 and 0.2: relative SE 1/√139
    const pilot = fakeModel({ kld: (token) => (token % 2 === 0 ? 0 : 0.2) });
    const text = await choose(textOf(200), pilot);
    expect(text.tokens.chunks).toBe(chunksNeeded(1 / Math.sqrt(139), 20, 200));
    expect(text.tokens.chunks).toBe(70);
    expect(text.tokens.ids).toHaveLength(70 * 16);
    expect(pilot.calls).toEqual(["score 0+4", "score 4+4", "score 8+4", "score 12+4", "score 16+4", "close"]);
  });

  it("lengthens a sampled text to what it asks for, up to 256 chunks", async () => {
    const noisy = (share: number) => fakeModel({ kld: (token) => (token % share === 0 ? 1 : 0) });
    const asked: number[] = [];
    const lengthen = async (chunks: number) => {
      asked.push(chunks);
      return textOf(Math.ceil(chunks / 32) * 32);
    };
    const rule = { lengthen };
    const few = await chooseChunks(fakeModel(), textOf(32), async () => noisy(2), rule, BENCH);
    const many = await chooseChunks(fakeModel(), textOf(32), async () => noisy(70), rule, BENCH);
    expect(few.tokens.chunks).toBe(70);
    expect(few.tokens.ids).toHaveLength(70 * 16);
    expect(many.tokens.chunks).toBe(256);
    expect(asked).toEqual([70, 256]);
    const enough = await chooseChunks(fakeModel(), textOf(96), async () => noisy(2), rule, BENCH);
    expect(enough.tokens.chunks).toBe(70);
    expect(asked).toHaveLength(2);
  });

  it("leaves a short text, and a number of chunks that was asked for, as they are", async () => {
    const pilot = fakeModel();
    for (const [text, chunks] of [
      [textOf(20), undefined],
      [textOf(200), 200],
    ] as const) {
      expect(await choose(text, pilot, chunks)).toBe(text);
    }
    expect(pilot.calls).toEqual([]);
  });

  it("takes the least where the pilot is the reference itself", async () => {
    expect((await choose(textOf(200), fakeModel({ kld: () => 0 }))).tokens.chunks).toBe(MIN_CHUNKS);
    expect((await choose(textOf(200), fakeModel({ kld: () => -1e-7 }))).tokens.chunks).toBe(MIN_CHUNKS);
  });

  it("closes the pilot when scoring it fails", async () => {
    const pilot = fakeModel();
    const failing = { ...pilot, score: () => Promise.reject(new Error("NaN")) };
    await expect(choose(textOf(200), failing)).rejects.toThrow("NaN");
    expect(pilot.calls).toEqual(["close"]);
  });
});

describe("the context", () => {
  it("is what was asked for, else 512 or the model's own if smaller", () => {
    expect(chooseContext(1024, 256)).toBe(1024);
    expect(chooseContext(undefined, 256)).toBe(256);
    expect(chooseContext(undefined, 32768)).toBe(512);
    expect(chooseContext(undefined, 0)).toBe(512);
  });

  it.each([0, 1, 7, -512, 12.5, Number.NaN])("can't be %d", (context) => {
    expect(() => chooseContext(context, 256)).toThrow(/leaves nothing to score/);
  });
});
