import { describe, expect, it } from "vitest";
import { layerRanges, rangeBytes, type WeightInputs } from "../../src/feedback/layer-ranges.ts";

function layer(index: number): WeightInputs[] {
  const names = ["attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up"];
  return [
    ...names.map((name) => ({ name: `blk.${index}.${name}.weight`, columns: 100 })),
    { name: `blk.${index}.ffn_down.weight`, columns: 300 },
  ];
}

describe("bytes of a range", () => {
  it("count inputs once that several weights share, as two triangles, and two factors of the widest", () => {
    // q with k and v, attn_output, gate with up; down
    expect(rangeBytes(layer(0))).toBe(4 * (3 * 100 ** 2 + 300 ** 2) + 2 * 4 * 300 ** 2);
    expect(rangeBytes([])).toBe(0);
  });

  it("count experts once that are fed the same, and each that is not", () => {
    const experts = (name: string) => [0, 1, 2].map((expert) => ({ name, expert, columns: 10 }));
    const factors = 2 * 4 * 100;
    expect(rangeBytes(experts("blk.0.ffn_up_exps.weight"))).toBe(4 * 100 + factors);
    expect(rangeBytes(experts("blk.0.ffn_down_exps.weight"))).toBe(3 * 4 * 100 + factors);
  });
});

describe("layer ranges", () => {
  const weights = [{ name: "output.weight", columns: 100 }, ...layer(1), ...layer(0), ...layer(2)];

  it("are one where all fits, in the order of layers, what is in none last", () => {
    const [only, ...others] = layerRanges(weights, 1e9);
    expect(others).toEqual([]);
    expect(only?.map(({ name }) => name)).toEqual(
      [...layer(0), ...layer(1), ...layer(2), { name: "output.weight" }].map(({ name }) => name),
    );
  });

  it("hold as many layers as fit", () => {
    const two = rangeBytes([...layer(0), ...layer(1)]);
    expect(layerRanges(weights, two).map((range) => range.length)).toEqual([14, 8]);
    expect(layerRanges(weights, two - 1).map((range) => range.length)).toEqual([7, 7, 8]);
  });

  it("give a layer that does not fit a range of its own", () => {
    expect(layerRanges(weights, 1).map((range) => range.length)).toEqual([7, 7, 7, 1]);
  });
});
