import { describe, expect, it } from "vitest";
import { FormatError } from "../../src/errors.ts";
import { growPrior, serializePrior } from "../../src/sensitivity/grow-prior.ts";
import type { MeasuredModel } from "../../src/sensitivity/measured-model.ts";
import { builtInPrior, parsePrior } from "../../src/sensitivity/sensitivity-prior.ts";

const prior = builtInPrior();

/** A model that is as one of the prior's, or the contrary of it. */
function sibling(name: string, sign = 1): MeasuredModel {
  const like = prior.measured?.find((model) => model.name === "Qwen3.5-4B") as MeasuredModel;
  return {
    ...like,
    name,
    kinds: like.kinds.map((kind) => ({ ...kind, lnDensity: sign * kind.lnDensity, error: 0.1 })),
  };
}

describe("a prior that grows", () => {
  it("has the models that came with it and the added ones, and says how many these are", () => {
    const grown = growPrior(prior, [sibling("a"), sibling("b")]);
    expect(grown.measured?.map(({ name }) => name)).toEqual([...(prior.source?.models ?? []), "a", "b"]);
    expect(grown.version).toBe("1 + 2 models");
    expect(growPrior(grown, [sibling("c")]).version).toBe("1 + 3 models");
    expect(parsePrior("grown", serializePrior(grown)).measured).toHaveLength(16);
  });

  it("has a model once, by its name or its header", () => {
    const first = growPrior(prior, [{ ...sibling("a"), headerHash: "0f" }]);
    const second = growPrior(first, [{ ...sibling("renamed", -1), headerHash: "0f" }]);
    expect(second.measured?.map(({ name }) => name).slice(-2)).toEqual(["Qwen3.6-35B-A3B", "renamed"]);
    expect(second.version).toBe("1 + 1 model");
  });

  it("learns from what is added, and is what it was without", () => {
    const grown = growPrior(prior, [sibling("contrary", -1)]);
    expect(growPrior(prior, []).classes.attn_v).toBeCloseTo(prior.classes.attn_v ?? 0, 2);
    expect(Math.abs((grown.classes.attn_v ?? 0) - (prior.classes.attn_v ?? 0))).toBeGreaterThan(0.02);
  });

  it("says how well each is predicted by the others: a twin almost wholly, its contrary the wrong way round", () => {
    const leftOut = (name: string) => grown.measured?.find((model) => model.name === name)?.leftOut;
    const grown = growPrior(prior, [sibling("twin"), sibling("contrary", -1)]);
    expect(leftOut("twin")?.correlation).toBeGreaterThan(0.9);
    expect(leftOut("twin")?.share).toBeGreaterThan(80);
    expect(leftOut("contrary")?.correlation).toBeLessThan(0);
    expect(leftOut("contrary")?.share).toBeLessThan(0);
    expect(leftOut("contrary")?.sd).toBeGreaterThan(leftOut("twin")?.sd ?? 9);
  });

  it("is refused where it is not known what it was fitted to, or that would be too much", () => {
    const { measured: _, ...bare } = prior;
    expect(() => growPrior(bare, [sibling("a")])).toThrow(/has no `measured`.*take plans/);
    const many = Array.from({ length: 200 }, (_, index) => sibling(`model ${index}`));
    expect(() => growPrior(prior, many)).toThrow(FormatError);
  });
});
