import { describe, expect, it } from "vitest";
import type { Engine } from "../../src/engine/engine.ts";
import { judgeTypes, type TypeSpeeds } from "../../src/evaluate/type-speeds.ts";
import type { TensorType } from "../../src/ggml/tensor-types.ts";
import { offeredTypes } from "../../src/verbs/fast-types.ts";
import { plan } from "../../src/verbs/plan.ts";
import { testBench } from "../bench.ts";
import { syntheticAnalysis } from "../plan/synthetic-analysis.ts";

const notes: string[] = [];
const bench = testBench({} as Engine, {
  progress: { note: (text: string) => notes.push(text), steps: () => undefined },
});

/** Every type reads its bytes, but IQ3_S takes three times as long. */
const measured = async () => {
  const sizes: readonly (readonly [TensorType, number])[] = [
    ["Q3_K", 290],
    ["IQ3_S", 97],
    ["Q4_K", 220],
    ["Q8_0", 117],
  ];
  const speed = (value: number) => ({ value, se: value / 100 });
  const types = judgeTypes(
    sizes.map(([type]) => type),
    sizes.map(([, rate]) => ({ prompt: speed(100), generation: speed(rate) })),
    1e9,
  );
  return { types } as unknown as TypeSpeeds;
};
const offered = (request: Parameters<typeof offeredTypes>[0]) => offeredTypes(request, async () => bench, measured);

describe("--prefer-speed", () => {
  it("offers what is not slow here, and says what it left out and what says the same", async () => {
    expect(await offered({ preferSpeed: true })).toEqual(["Q3_K", "Q4_K", "Q8_0"]);
    expect(notes.at(-1)).toBe("--prefer-speed leaves out IQ3_S (Q3_K is faster); the same as --types Q3_K,Q4_K,Q8_0");
  });

  it("offers of --types what is fast among them, and refuses to offer nothing", async () => {
    expect(await offered({ preferSpeed: true, types: "IQ3_S,Q4_K" })).toEqual(["Q4_K"]);
    expect(await offered({ preferSpeed: true, types: ["Q8_0"] })).toEqual(["Q8_0"]);
    expect(notes.at(-1)).toBe("--prefer-speed: no type is slow here");
    await expect(offered({ preferSpeed: true, types: "IQ3_S" })).rejects.toThrow(
      /--prefer-speed leaves none of --types/,
    );
  });

  it("measures nothing unless it was asked for", async () => {
    const never = () => Promise.reject(new Error("measured"));
    expect(await offeredTypes({}, never)).toBeUndefined();
    expect(await offeredTypes({ types: "Q4_K" }, never)).toEqual(["Q4_K"]);
  });

  it("is refused where the types are given", async () => {
    const request = { from: "plan.json", preferSpeed: true };
    const made = plan(undefined, request, async () => bench, bench.progress.note);
    await expect(made).rejects.toThrow(/--prefer-speed: --from takes the types as they were edited; leave/);
    const analysis = syntheticAnalysis({ layers: 2 });
    const fast = await offered({ preferSpeed: true });
    const { tensors } = await plan(analysis, { bpw: 4, types: fast }, async () => bench, bench.progress.note);
    const chosen = new Set(tensors.filter(({ reason }) => reason !== "ineligible").map(({ type }) => type));
    expect([...chosen].every((type) => fast?.includes(type))).toBe(true);
  });
});
