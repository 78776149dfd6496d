import { describe, expect, it } from "vitest";
import { probedKinds } from "../../src/probes/probed-kinds.ts";
import type { ProbeMeasurement } from "../../src/sensitivity/density-document.ts";
import { syntheticAnalysis } from "../plan/synthetic-analysis.ts";

const analysis = syntheticAnalysis({ layers: 3 });
const WEIGHTS = 256 * 256;
const distortionOf = (name: string, type: "Q3_K" | "Q4_K" = "Q3_K") =>
  analysis.tensors.find((tensor) => tensor.name === name)?.distortion?.[type]?.value ?? Number.NaN;

const probe = (group: string, tensors: readonly string[], kld: number, se = kld / 10): ProbeMeasurement => ({
  ...{ group, tensors, type: "Q3_K", kld, se, chunks: 8 },
});
const layers = (name: string) => [0, 1, 2].map((layer) => `blk.${layer}.${name}.weight`);

describe("the kinds of tensors that probes measured", () => {
  it("are classes that were degraded whole, with the error of the probe", () => {
    const kinds = probedKinds(analysis, [
      probe("attn_q", layers("attn_q"), 3),
      probe("attn_k 0-1", layers("attn_k").slice(0, 2), 3),
    ]);
    expect(kinds).toMatchObject([
      { name: "attn_q", class: "attn_q", role: "attention", elements: WEIGHTS, tensors: 3 },
    ]);
    const damage = layers("attn_q").reduce((sum, name) => sum + WEIGHTS * distortionOf(name), 0);
    expect(kinds[0]?.lnDensity).toBeCloseTo(Math.log(3 / damage), 9);
    expect(kinds[0]?.error).toBeCloseTo(0.1, 9);
  });

  it("are told apart by their place where each tensor was degraded alone", () => {
    const kinds = probedKinds(
      analysis,
      layers("attn_q").map((name, layer) => probe(name, [name], (layer + 1) * distortionOf(name))),
    );
    expect(kinds.map(({ name }) => name)).toEqual(["attn_q in the first layer", "attn_q", "attn_q in the last layer"]);
    const [first = 0, middle = 0, last = 0] = kinds.map(({ lnDensity }) => Math.exp(lnDensity) * WEIGHTS);
    expect([first, middle, last]).toEqual([expect.closeTo(1), expect.closeTo(2), expect.closeTo(3)]);
  });

  it("leave out what drowns in its noise, and know a tied embedding as the head", () => {
    expect(probedKinds(analysis, [probe("attn_q", layers("attn_q"), 3, 2)])).toEqual([]);
    const tied = syntheticAnalysis({ tied: true });
    const [head] = probedKinds(tied, [probe("token_embd.weight", ["token_embd.weight"], 1)]);
    expect(head).toMatchObject({ name: "token_embd (tied)", tensors: 1 });
  });

  it("are on the scale of distortions that no importance matrix weighs", () => {
    const weighted = {
      ...analysis,
      tensors: analysis.tensors.map((tensor) => ({
        ...tensor,
        importance: "used" as const,
        ...(tensor.distortion && {
          distortion: Object.fromEntries(
            Object.entries(tensor.distortion).map(([type, { value, se }]) => [type, { value: value / 5, se }]),
          ),
        }),
      })),
    };
    const one = [probe("output.weight", ["output.weight"], 3)];
    const of = (own: typeof analysis) => probedKinds(own, one)[0]?.lnDensity ?? 0;
    // D of Q4_K of normal weights (sensitivity.ts), whatever the matrix made of it
    expect(of(weighted)).toBeCloseTo(of(analysis) + Math.log(distortionOf("output.weight", "Q4_K") / 5.09e-3), 9);
  });
});
