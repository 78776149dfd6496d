import { describe, expect, it } from "vitest";
import { ownKld } from "../../research/probe-floor.ts";
import { present } from "../../src/present.ts";
import { fitPrior } from "../../src/sensitivity/fit-prior.ts";
import type { MeasuredModel } from "../../src/sensitivity/measured-model.ts";

const CLASSES = { attn_q: 0, attn_v: 1.5, ffn_up: -0.5 };
const SIZE_EXPONENT = 0.5;

/** Models in which the classes keep their order and density falls with the root of the size. */
function measured(
  archs: readonly string[],
  effects: Readonly<Record<string, number>> = CLASSES,
  error?: number,
): MeasuredModel[] {
  return archs.map((arch, model) => ({
    name: `${arch} ${model}`,
    arch,
    elements: 1e9,
    kinds: Object.entries(effects).map(([name, effect], index) => {
      const elements = 1000 * 2 ** ((index * 3 + model * 2) % 7);
      const lnDensity = Math.log(model + 1) + effect - SIZE_EXPONENT * Math.log(elements);
      return { name, class: name, role: "other", lnDensity, elements, tensors: 1, ...present({ error }) };
    }),
  }));
}

describe("fitting the prior", () => {
  it("finds what many architectures agree on", () => {
    const fit = fitPrior(measured(Array.from({ length: 60 }, (_, index) => `arch${index}`)));
    expect(fit.sizeExponent).toBeCloseTo(SIZE_EXPONENT, 1);
    expect((fit.classes.attn_v ?? 0) - (fit.classes.attn_q ?? 0)).toBeCloseTo(1.5, 1);
    expect((fit.classes.ffn_up ?? 0) - (fit.classes.attn_q ?? 0)).toBeCloseTo(-0.5, 1);
  });

  it("keeps only a part of what one architecture alone says", () => {
    const { classes } = fitPrior(measured(["only"]));
    const spread = (classes.attn_v ?? 0) - (classes.ffn_up ?? 0);
    expect(spread).toBeGreaterThan(0.3);
    expect(spread).toBeLessThan(1.5);
  });

  it("weighs architectures alike, however many of their models were measured", () => {
    const contrary = { attn_q: 1.5, attn_v: 0, ffn_up: -0.5 };
    const one = fitPrior([...measured(["a"]), ...measured(["b"], contrary)]);
    const four = fitPrior([...measured(["a", "a", "a", "a"]), ...measured(["b"], contrary)]);
    const difference = ({ classes }: typeof one) => (classes.attn_v ?? 0) - (classes.attn_q ?? 0);
    expect(Math.abs(difference(four) - difference(one))).toBeLessThan(0.4);
  });

  it("believes a measurement the less, the larger its error", () => {
    const contrary = { attn_q: 1.5, attn_v: 0, ffn_up: -0.5 };
    const spread = (error?: number) => {
      const { classes } = fitPrior([...measured(["a"]), ...measured(["b"], contrary, error)]);
      return (classes.attn_v ?? 0) - (classes.attn_q ?? 0);
    };
    expect(spread(1)).toBeGreaterThan(spread(0.1) + 0.2);
    expect(spread(0)).toBeCloseTo(spread(), 9);
  });
});

describe("the KLD of a tensor by itself", () => {
  const tensor = (name: string, elements: number, layer?: number) => ({
    name,
    elements,
    eligible: true,
    ...(layer === undefined ? {} : { layer }),
  });

  it("divides a joint probe by elements, and is the probe itself otherwise", () => {
    const tensors = [tensor("k", 100, 0), tensor("v", 300, 0), tensor("q", 400, 0), tensor("head", 800)];
    const { kld, seen } = ownKld({ k: 0.4, v: 0.4, q: 0.7, head: 0.4 }, tensors);
    expect(Object.fromEntries(kld)).toEqual({ k: 0.1, v: expect.closeTo(0.3), q: 0.7, head: 0.4 });
    expect(seen.size).toBe(4);
  });

  it("gives a tensor without a probe the mean density, and doesn't count it as seen", () => {
    const { kld, seen } = ownKld({ q: 1 }, [tensor("q", 100, 0), tensor("k", 50, 0)]);
    expect(kld.get("k")).toBeCloseTo(0.5);
    expect([...seen]).toEqual(["q"]);
  });

  it("subtracts the least probe of a large model, and a layer's own null probes where it has them", () => {
    const large = [tensor("a", 20e9, 0), tensor("b", 20e9, 9)];
    expect(ownKld({ a: 0.5, b: 0.3 }, [...large, tensor("mtp", 20e9, 9)]).kld.get("a")).toBeCloseTo(0.2);
    const nulls = [tensor("n0", 1000, 0), tensor("n9", 1000, 9)];
    const { kld, seen } = ownKld({ a: 0.5, b: 0.3, n0: 0.2, n9: 0.1 }, [...large, ...nulls]);
    expect(kld.get("a")).toBeCloseTo(0.3);
    expect(kld.get("b")).toBeCloseTo(0.2);
    expect([...seen]).toEqual(["a", "b"]);
  });
});
