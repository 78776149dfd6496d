import { describe, expect, it } from "vitest";
import { fitAlphaHill, meanAlphaHill, windowGrid } from "../../src/analyze/alpha-hill.ts";
import { gram } from "../../src/kernels/reference/gram.ts";
import { symmetricEigenvalues } from "../../src/kernels/reference/symmetric-eigenvalues.ts";
import { referenceBackend } from "../../src/kernels/reference.ts";
import { createRandom } from "../../src/random.ts";
import { gaussian } from "../kernels/matrices.ts";

function fitted(windows: readonly Float64Array[]) {
  const fit = fitAlphaHill(windows);
  if (typeof fit === "string") throw new Error(fit);
  return fit;
}

describe("alpha hill", () => {
  // Marchenko-Pastur: medians of k = 1024 from the metric's definition; k = 192 here is within 2 %.
  it.each([
    [1, 2.12],
    [1.5, 2.45],
    [2, 2.7],
    [3, 3.12],
    [4, 3.46],
    [8, 4.45],
  ])("is the Marchenko-Pastur value of Gaussian weights at aspect ratio %d", (aspect, alpha) => {
    const order = 192;
    const columns = Math.round(order * aspect);
    const windows = [1, 2, 3].map((seed) => {
      const weights = Float64Array.from(gaussian(order, columns, seed).data);
      return symmetricEigenvalues(gram(weights, order, columns), order);
    });
    expect(Math.abs(fitted(windows).value / alpha - 1)).toBeLessThan(0.02);
  });

  it("finds the exponent of exact Pareto samples within three standard errors", () => {
    for (const exponent of [2, 3, 4.5]) {
      const random = createRandom(11);
      // Density ∝ x^−exponent above 1, so the upper half is Pareto too.
      const sample = Float64Array.from({ length: 20_000 }, () => (1 - random()) ** (-1 / (exponent - 1)));
      const { value, se, tail } = fitted([sample]);
      expect(tail).toBe(10_000);
      expect(Math.abs(value - exponent)).toBeLessThan(3 * se);
      expect(se).toBeCloseTo((value - 1) / Math.sqrt(tail), 12);
    }
  });

  it("finds the exponent of a power-law spectrum, whatever its scale", async () => {
    // λᵢ = i^−1.25, so the share above λ falls as λ^−0.8: α = 1.8, up to the discreteness of half of 256 values.
    const data = new Float32Array(256 * 256);
    for (let i = 0; i < 256; i++) data[i * 257] = (i + 1) ** -0.625;
    const alphaOf = async (weights: Float32Array) => {
      const windows = await referenceBackend().windowEigenvalues(
        { data: weights, rows: 256, columns: 256 },
        256,
        [0],
        0,
      );
      return fitted(windows).value;
    };
    const value = await alphaOf(data);
    expect(Math.abs(value - 1.8)).toBeLessThan(0.05);
    expect(await alphaOf(data.map((weight) => 1e-8 * weight))).toBeCloseTo(value, 6);
  });

  it("leaves out eigenvalues under the noise and says that rank is missing", () => {
    const full = Float64Array.from({ length: 100 }, (_, index) => 100 / (index + 1));
    const padded = Float64Array.from([...full, ...Array.from({ length: 50 }, () => 1e-6)]);
    expect(fitted([full])).not.toHaveProperty("rankDeficient");
    expect(fitted([padded])).toEqual({ ...fitted([full]), rankDeficient: true });
  });

  it("gives a reason instead of a value for rank 1, for zeros and for equal eigenvalues", () => {
    expect(fitAlphaHill([Float64Array.from({ length: 64 }, (_, index) => (index === 0 ? 5 : 0))])).toMatch(
      /only 1 of 64/,
    );
    expect(fitAlphaHill([new Float64Array(64)])).toMatch(/only 0 of 64/);
    expect(fitAlphaHill([new Float64Array(64).fill(2)])).toMatch(/all equal/);
  });

  it("averages experts with the standard error of a mean", () => {
    const mean = meanAlphaHill([
      { value: 2, tail: 100, se: 0.3 },
      { value: 4, tail: 50, se: 0.4 },
    ]);
    expect(mean).toEqual({ value: 3, tail: 150, se: 0.25 });
  });

  it("places windows evenly, inside the matrix and apart from each other", () => {
    expect(windowGrid(63, 4096, false)).toBeUndefined();
    expect(windowGrid(256, 4096, false)).toEqual({ size: 256, rowOffsets: [0], columnOffsets: [0, 1280, 2560, 3840] });
    expect(windowGrid(256, 256, false)).toEqual({ size: 256, rowOffsets: [0], columnOffsets: [0] });
    expect(windowGrid(200, 300, false)).toEqual({ size: 128, rowOffsets: [0], columnOffsets: [0, 172] });
    expect(windowGrid(70, 300, false)?.size).toBe(70);
    const exact = windowGrid(600, 5000, true);
    expect(exact?.rowOffsets).toEqual([0, 344]);
    expect(exact?.columnOffsets.length).toBe(19);
    for (const [index, offset] of (exact?.columnOffsets ?? []).entries()) {
      expect(offset + 256).toBeLessThanOrEqual(exact?.columnOffsets[index + 1] ?? 5000);
    }
  });
});
