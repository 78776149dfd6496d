import { describe, expect, it } from "vitest";
import { METRIC_TABLE } from "../../src/analyze/metric-table.ts";
import { measureMetrics } from "../../src/analyze/metrics.ts";
import type { Matrix } from "../../src/kernels/backend.ts";
import { referenceBackend } from "../../src/kernels/reference.ts";
import { createRandom, shuffled } from "../../src/random.ts";
import { fill, gaussian, heavyTailed, SAMPLES, structured } from "../kernels/matrices.ts";

const backend = referenceBackend();
const measure = (...sample: Matrix[]) => measureMetrics(backend, sample);

function expectSame(actual: object, expected: object, digits: number): void {
  for (const [name, value] of Object.entries(expected)) {
    const other = (actual as Record<string, unknown>)[name];
    if (typeof value === "number") expect(other, name).toBeCloseTo(value, digits);
    else expectSame(other as object, value as object, digits);
  }
}

describe("metrics", () => {
  it("has the known values of Gaussian weights", async () => {
    const { metrics, omitted, sigmaMax, nonFinite } = await measure(gaussian(256, 1024));
    expect(omitted).toEqual({});
    expect(nonFinite).toBe(0);
    expect(metrics.alphaHill?.value).toBeCloseTo(2.12, 1);
    // Half of 4 windows of 256, of which a few eigenvalues are under the noise.
    expect(metrics.alphaHill?.tail).toBeGreaterThan(505);
    expect(metrics.alphaHill?.tail).toBeLessThanOrEqual(512);
    expect(Math.abs(metrics.spectralDominance?.value ?? 9)).toBeLessThan(0.03);
    expect(sigmaMax).toBeCloseTo(16 + 32, 0);
    expect(metrics.osqe?.b2).toBeCloseTo(0.109, 2);
    expect(metrics.osqe?.b4).toBeCloseTo(0.0082, 3);
    // Sampling noise of an RMS over n weights: 1/√(2n).
    expect(metrics.imbalance?.row).toBeCloseTo(1 / Math.sqrt(2 * 1024), 2);
    expect(metrics.imbalance?.column).toBeCloseTo(1 / Math.sqrt(2 * 256), 2);
    expect(metrics.fragility).toBeCloseTo(2.59, 1);
    expect(metrics.boundaryDensity).toBeCloseTo(-0.3, 1);
  });

  it.each([
    ["scale", (matrix: Matrix) => ({ ...matrix, data: matrix.data.map((weight) => 1e-4 * weight) }), 5],
    ["sign", (matrix: Matrix) => ({ ...matrix, data: matrix.data.map((weight) => -weight) }), 9],
    ["the order of rows", (matrix: Matrix) => permuteRows(matrix), 9],
  ])("does not depend on %s", async (_, change, digits) => {
    for (const matrix of [gaussian(128, 256, 8), structured(128, 256)]) {
      const { metrics } = await measure(matrix);
      expectSame((await measure(change(matrix))).metrics, metrics, digits);
    }
  });

  it("moves every metric the way it is defined to", async () => {
    const { metrics: noise } = await measure(gaussian(128, 512));
    const { metrics: heavy } = await measure(heavyTailed(128, 512));
    const { metrics: strong } = await measure(structured(128, 512));
    expect(heavy.osqe?.b4).toBeGreaterThan(1.5 * (noise.osqe?.b4 ?? 9));
    expect(heavy.fragility).toBeLessThan(noise.fragility ?? 0);
    expect(strong.spectralDominance?.value).toBeGreaterThan(2);
    expect(strong.spectralDominance?.stableRank).toBeLessThan(2);
    expect(strong.imbalance?.column).toBeGreaterThan(1);
    const ternary = fill(128, 512, (row, column) => ((row * 7 + column * column) % 3) - 1);
    expect((await measure(ternary)).metrics.boundaryDensity).toBe(-1);
  });

  it("has no imbalance by rows in columns and the reverse", async () => {
    const byRow = fill(64, 96, (row, column) => (row + 1) * (column % 2 === 0 ? 1 : -1));
    const { metrics } = await measure(byRow);
    const mean = 32.5;
    const deviation = Math.sqrt((64 ** 2 - 1) / 12);
    expect(metrics.imbalance?.row).toBeCloseTo(deviation / mean, 9);
    expect(metrics.imbalance?.column).toBeCloseTo(0, 9);
    expect(metrics.imbalance?.value).toBe(metrics.imbalance?.row);
    const byColumn = fill(64, 3, (_, column) => Math.exp(column));
    expect((await measure(byColumn)).metrics.imbalance?.columnLogSpread).toBeCloseTo(1, 6);
  });

  it("averages experts, adds their quantization errors and ignores dead ones", async () => {
    const small = gaussian(64, 128);
    const large: Matrix = { ...heavyTailed(64, 128), data: heavyTailed(64, 128).data.map((weight) => 10 * weight) };
    const dead = fill(64, 128, () => 0);
    const [a, b, both] = [await measure(small), await measure(large), await measure(small, large, dead)];
    expect(both.metrics.alphaHill?.value).toBeCloseTo(
      ((a.metrics.alphaHill?.value ?? 0) + (b.metrics.alphaHill?.value ?? 0)) / 2,
      12,
    );
    expect(both.sigmaMax).toBeCloseTo(((a.sigmaMax ?? 0) + (b.sigmaMax ?? 0)) / 2, 9);
    const [sumA, sumB] = [await backend.osqe(small), await backend.osqe(large)];
    expect(both.metrics.osqe?.b3).toBeCloseTo((sumA.error[3] + sumB.error[3]) / (sumA.power + sumB.power), 12);
  });

  it("counts NaN and infinite weights and measures the others as if those were 0", async () => {
    const clean = gaussian(70, 80);
    const broken = { ...clean, data: clean.data.slice() };
    broken.data[3] = Number.NaN;
    broken.data[99] = Number.POSITIVE_INFINITY;
    clean.data[3] = 0;
    clean.data[99] = 0;
    const { metrics, nonFinite } = await measure(broken);
    expect(nonFinite).toBe(2);
    expect(metrics).toEqual((await measure(clean)).metrics);
  });

  it("says why it has no metrics of zeros, of constants and of tiny matrices", async () => {
    const zero = await measure(fill(64, 64, () => 0));
    expect(zero.metrics).toEqual({});
    expect(Object.keys(zero.omitted).length).toBe(6);
    expect(zero).not.toHaveProperty("sigmaMax");
    const constant = await measure(fill(100, 80, () => 0.5));
    expect(constant.omitted.alphaHill).toMatch(/eigenvalues are above the noise/);
    expect(constant.omitted.fragility).toMatch(/OSQE\(4\) is 0/);
    expect(constant.metrics.imbalance?.value).toBeCloseTo(0, 12);
    expect(constant.metrics.osqe).toEqual({ b2: 0, b3: 0, b4: 0, b6: 0 });
    const tiny = await measure(gaussian(1, 40));
    expect(tiny.omitted.alphaHill).toMatch(/1 × 40 weights/);
    expect(tiny.omitted.spectralDominance).toMatch(/rank 1/);
    expect(tiny.metrics.osqe?.b4).toBeGreaterThan(0);
  });

  it.each(SAMPLES)("gives each metric of %s as a finite number or a reason", async (_, matrix) => {
    const { metrics, omitted } = await measure(matrix);
    // the position takes all tensors
    for (const { name } of METRIC_TABLE.filter((metric) => metric.name !== "spectralPosition")) {
      expect(name in metrics, name).toBe(!(name in omitted));
    }
    const numbers = JSON.stringify(metrics, (_, value) =>
      Number.isNaN(value) || Math.abs(value) === Infinity ? "bad" : value,
    );
    expect(numbers).not.toContain("bad");
  });
});

function permuteRows({ data, rows, columns }: Matrix): Matrix {
  const order = shuffled(
    Array.from({ length: rows }, (_, row) => row),
    createRandom(1),
  );
  return fill(rows, columns, (row, column) => data[(order[row] ?? 0) * columns + column] ?? Number.NaN);
}
