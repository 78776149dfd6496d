import { describe, expect, it } from "vitest";
import { findLattice } from "../../src/preflight/weight-lattice.ts";
import { type CoarseType, roundTrip } from "../fixtures/lattices.ts";
import { drawWeights, encodeFloats, type SourceType } from "../fixtures/weights.ts";

const SHAPE = [1024, 32];

/** Weights after rounding to the type they are stored in. */
function stored(weights: Float32Array, type: SourceType): Float32Array {
  const bytes = encodeFloats(type, weights);
  if (type === "F32") return weights;
  const halves = new Uint16Array(bytes.buffer);
  return Float32Array.from(halves, (half) => {
    if (type === "BF16") return new Float32Array(new Uint32Array([half << 16]).buffer)[0] ?? 0;
    const exponent = (half >> 10) & 31;
    const mantissa = half & 1023;
    const magnitude = exponent === 0 ? mantissa * 2 ** -24 : (1 + mantissa / 1024) * 2 ** (exponent - 15);
    return half & 0x8000 ? -magnitude : magnitude;
  });
}

const COARSE: readonly CoarseType[] = ["Q4_0", "Q5_0", "Q8_0", "int8 per row", "MXFP4", "FP8"];
const STORED: readonly SourceType[] = ["F16", "BF16", "F32"];

describe("findLattice", () => {
  describe.each(STORED)("weights in %s", (type) => {
    it.each(COARSE)("lie on a lattice after %s", (coarse) => {
      for (const seed of [1, 2, 3]) {
        const weights = roundTrip(drawWeights(SHAPE, 0.02, seed), 1024, coarse);
        expect(findLattice(stored(weights, type), 1024)).toBeDefined();
      }
    });

    it("lie on none where they were drawn, in bf16 before or not", () => {
      for (let seed = 1; seed <= 20; seed++) {
        const drawn = drawWeights(SHAPE, 0.02, seed);
        expect(findLattice(stored(drawn, type), 1024)).toBeUndefined();
        expect(findLattice(stored(stored(drawn, "BF16"), type), 1024)).toBeUndefined();
      }
    });
  });

  it("says nothing of too few weights, and of rows that are mostly zero", () => {
    expect(findLattice(new Float32Array(256).fill(0.5), 256)).toBeUndefined();
    const pruned = roundTrip(drawWeights(SHAPE, 0.02, 1), 1024, "Q4_0").map((value, i) => (i % 4 === 0 ? value : 0));
    expect(findLattice(pruned, 1024)).toBeUndefined();
  });
});
