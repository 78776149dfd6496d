import { describe, expect, it } from "vitest";
import { spectralPositionOf, spectralPositions } from "../../src/analyze/spectral-position.ts";

const writers = (sigmas: readonly number[], tensorClass = "ffn_down") =>
  sigmas.map((sigmaMax, layer) => ({ class: tensorClass, layer, sigmaMax }));

describe("spectral position", () => {
  it("is (1−2u)² of the middle of each layer where all gains are equal", () => {
    const positions = spectralPositions(writers([3, 3, 3, 3]), 4);
    expect(positions).toHaveLength(4);
    for (const [layer, u] of [0.125, 0.375, 0.625, 0.875].entries()) {
      expect(positions[layer]).toBeCloseTo((1 - 2 * u) ** 2, 12);
    }
  });

  it("weighs layers by ln(1 + σ₁/median)", () => {
    const total = 2 * Math.log(2) + Math.log(4);
    const positions = spectralPositions(writers([1, 3, 1]), 3);
    expect(positions[0]).toBeCloseTo((1 - Math.log(2) / total) ** 2, 12);
    expect(positions[1]).toBeCloseTo(0, 12);
  });

  it("does not depend on the scale of a class, and averages the classes of a layer", () => {
    const both = [...writers([1, 3, 1, 2]), ...writers([7, 5, 9, 8], "attn_output")];
    const scaled = both.map((w) => (w.class === "ffn_down" ? { ...w, sigmaMax: 100 * w.sigmaMax } : w));
    const positions = spectralPositions(both, 4);
    for (const [layer, value] of spectralPositions(scaled, 4).entries())
      expect(value).toBeCloseTo(positions[layer] ?? 9, 12);
    expect(positions).not.toEqual(spectralPositions(writers([1, 3, 1, 2]), 4));
  });

  it("takes no notice of tensors that don't write to the residual stream, nor of zero ones", () => {
    const own = writers([1, 3, 2]);
    const others = [...own, ...writers([9, 1, 1], "attn_q"), { class: "ssm_out", layer: 1, sigmaMax: 0 }];
    expect(spectralPositions(others, 3)).toEqual(spectralPositions(own, 3));
  });

  it("counts a layer without evidence as an average one", () => {
    expect(spectralPositions([], 4)).toEqual(spectralPositions(writers([2, 2, 2, 2]), 4));
  });

  it("puts token_embd and output at the ends and other tensors outside the layers nowhere", () => {
    const positions = spectralPositions(writers([1, 1]), 2);
    expect(spectralPositionOf({ class: "token_embd" }, positions)).toBe(1);
    expect(spectralPositionOf({ class: "output" }, positions)).toBe(1);
    expect(spectralPositionOf({ class: "cls" }, positions)).toBeUndefined();
    expect(spectralPositionOf({ class: "attn_q", layer: 1 }, positions)).toBe(positions[1]);
  });
});
