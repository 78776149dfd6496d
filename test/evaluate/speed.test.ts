import { describe, expect, it } from "vitest";
import type { Bench } from "../../src/bench.ts";
import type { Engine, LoadedModel } from "../../src/engine/engine.ts";
import { measureSpeeds } from "../../src/evaluate/speed.ts";
import { testBench } from "../bench.ts";
import { fakeModel } from "./fake-model.ts";

/** An engine whose models take so many milliseconds for a token of a prompt, and for one of a generation. */
function timedBench(models: Readonly<Record<string, { prompt: number; generated: number }>>): {
  bench: Bench;
  calls: string[];
} {
  const calls: string[] = [];
  const load = async ({ model }: { model: string }): Promise<LoadedModel> => ({
    ...fakeModel(),
    time: async ({ prompt, generated, mostMs }) => {
      calls.push(`${model} ${prompt} ${generated}`);
      const ms = models[model] ?? { prompt: 1, generated: 1 };
      const done = Math.max(1, Math.min(generated, Math.ceil(mostMs / ms.generated)));
      return { promptMs: prompt * ms.prompt, generated: done, generationMs: done * ms.generated };
    },
  });
  const engine = { info: { devices: ["CPU"] }, library: { load } } as unknown as Engine;
  return { bench: testBench(engine), calls };
}

describe("tokens per second", () => {
  it("are of the same tokens for every file, in turn, after a warm-up", async () => {
    const { bench, calls } = timedBench({ a: { prompt: 1, generated: 4 }, b: { prompt: 2, generated: 2 } });
    const [a, b] = await measureSpeeds(["a", "b"], bench);
    expect(a).toMatchObject({ prompt: { value: 1000, se: 0 }, generation: { value: 250, se: 0 } });
    expect(b).toMatchObject({ prompt: { value: 500 }, generation: { value: 500 } });
    expect(a).toMatchObject({ promptTokens: 512, generatedTokens: 128, rounds: 3, threads: bench.threads });
    const rounds = calls.slice(2);
    expect(rounds).toEqual([1, 2, 3].flatMap(() => ["a 512 1", "a 512 128", "b 512 1", "b 512 128"]));
  });

  it("are of fewer tokens where a model is slow", async () => {
    const { bench } = timedBench({ slow: { prompt: 20, generated: 300 } });
    const [slow] = await measureSpeeds(["slow"], bench);
    expect(slow).toMatchObject({ promptTokens: 64, generatedTokens: 5 });
    expect(slow?.prompt.value).toBeCloseTo(50);
  });
});
