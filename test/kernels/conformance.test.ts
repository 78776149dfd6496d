import { Matrix as Dense, SingularValueDecomposition } from "ml-matrix";
import { afterAll, describe, expect, it } from "vitest";
import type { Matrix } from "../../src/kernels/backend.ts";
import { decodeRows } from "../../src/kernels/decode.ts";
import { referenceBackend } from "../../src/kernels/reference.ts";
import { encodeFloats } from "../fixtures/weights.ts";
import { bestErrorOfBlocks, nearCount } from "./exhaustive-scale.ts";
import { fill, gaussian, heavyTailed, SAMPLES, structured } from "./matrices.ts";
import { openedBackends } from "./opened-backends.ts";
import { TOLERANCES } from "./tolerances.ts";

const opened = await openedBackends();
const BACKENDS = opened.flatMap(({ name, backend, tolerances }) =>
  backend === undefined ? [] : [[name, backend, tolerances] as const],
);
for (const { name, problem } of opened) {
  it(`backend ${name} is there, or not: ${problem ?? "it is"}`, ({ skip }) => {
    if (problem !== undefined) skip(problem);
  });
}

/** By ml-matrix's SVD; it never ends on some matrices of rank 1, whose only singular value is their norm. */
function singularValues(matrix: Matrix): number[] {
  if (hasRankOne(matrix)) {
    const norm = Math.sqrt(matrix.data.reduce((sum, weight) => sum + weight ** 2, 0));
    return [norm, ...Array.from({ length: Math.min(matrix.rows, matrix.columns) - 1 }, () => 0)];
  }
  const dense = Dense.from1DArray(matrix.rows, matrix.columns, Array.from(matrix.data));
  return new SingularValueDecomposition(dense, {
    autoTranspose: true,
    computeLeftSingularVectors: false,
    computeRightSingularVectors: false,
  }).diagonal;
}

/** The oracles of one matrix serve every backend. */
function once<Result>(compute: (matrix: Matrix) => Result): (matrix: Matrix) => Result {
  const known = new WeakMap<Matrix, { readonly result: Result }>();
  return (matrix) => {
    const found = known.get(matrix) ?? { result: compute(matrix) };
    known.set(matrix, found);
    return found.result;
  };
}

const largestSingularValue = once((matrix) => singularValues(matrix)[0] ?? 0);
const nearOf = once(nearCount);
const bestErrors = once((matrix) => ({
  2: bestErrorOfBlocks(matrix, 2),
  3: bestErrorOfBlocks(matrix, 3),
  4: bestErrorOfBlocks(matrix, 4),
  6: bestErrorOfBlocks(matrix, 6),
}));

function hasRankOne({ data, columns }: Matrix): boolean {
  const pivot = data[0] ?? 0;
  return data.every((weight, index) => {
    const column = index % columns;
    return weight * pivot === (data[column] ?? 0) * (data[index - column] ?? 0);
  });
}

function windowOf(matrix: Matrix, size: number, row: number, column: number): Matrix {
  return fill(size, size, (i, j) => matrix.data[(row + i) * matrix.columns + column + j] ?? Number.NaN);
}

it.each(BACKENDS)("backend %s is held to no less than is demanded", (_, __, tolerances) => {
  for (const [name, demanded] of Object.entries(TOLERANCES.demanded)) {
    expect(tolerances[name as keyof typeof tolerances]).toBeLessThanOrEqual(demanded);
  }
});

describe.each(BACKENDS)("backend %s", (_, backend, tolerance) => {
  afterAll(() => backend.close());

  describe.each(SAMPLES)("%s", (_, matrix) => {
    const { data, rows, columns } = matrix;

    it("sums the powers of rows and columns", async () => {
      const moments = await backend.moments(matrix);
      const rowPower = Array.from({ length: rows }, () => 0);
      const columnPower = Array.from({ length: columns }, () => 0);
      for (const [index, weight] of data.entries()) {
        const row = Math.floor(index / columns);
        rowPower[row] = (rowPower[row] ?? 0) + weight ** 2;
        columnPower[index % columns] = (columnPower[index % columns] ?? 0) + weight ** 2;
      }
      expectClose(moments.rowPower, rowPower, tolerance.moments);
      expectClose(moments.columnPower, columnPower, tolerance.moments);
      expect(moments.nonFinite).toBe(0);
    });

    it("gives the squared singular values of a window, descending", async () => {
      const size = Math.min(61, rows, columns);
      const rowOffset = rows - size;
      const offsets = [0, columns - size];
      const windows = await backend.windowEigenvalues(matrix, size, offsets, rowOffset);
      expect(windows.map((values) => values.length)).toEqual([size, size]);
      for (const [index, values] of windows.entries()) {
        const exact = singularValues(windowOf(matrix, size, rowOffset, offsets[index] ?? 0)).map((value) => value ** 2);
        const largest = exact[0] ?? 0;
        for (const [at, value] of values.entries()) {
          expect(value).toBeGreaterThanOrEqual(0);
          if (at > 0) expect(value).toBeLessThanOrEqual(values[at - 1] ?? 0);
          const truth = exact[at] ?? 0;
          const allowed = tolerance.eigenvalue * truth + tolerance.eigenvalueResidue * largest;
          expect(Math.abs(value - truth)).toBeLessThanOrEqual(allowed);
        }
      }
    });

    it("gives the largest singular value", async () => {
      const exact = largestSingularValue(matrix);
      expect(Math.abs((await backend.sigmaMax(matrix)) - exact)).toBeLessThanOrEqual(tolerance.sigmaMax * exact);
    });

    it("quantizes each block as well as an exhaustive search of its scale", async () => {
      const sums = await backend.osqe(matrix);
      const power = data.reduce((sum, weight) => sum + weight ** 2, 0);
      expect(Math.abs(sums.power - power)).toBeLessThanOrEqual(tolerance.moments * power);
      for (const bits of [2, 3, 4, 6] as const) {
        const best = bestErrors(matrix)[bits];
        const rounding = tolerance.osqeResidue * power;
        expect(sums.error[bits]).toBeLessThanOrEqual((1 + tolerance.osqe) * best + rounding);
        expect(sums.error[bits]).toBeGreaterThanOrEqual((1 - tolerance.osqe) * best - rounding);
      }
    });

    it("counts the weights near a decision threshold", async () => {
      const { near, expected } = (await backend.osqe(matrix)).boundary;
      const exact = nearOf(matrix);
      expect(expected).toBeCloseTo(exact.expected, 6);
      expect(Math.abs(near - exact.near)).toBeLessThanOrEqual(tolerance.boundary * rows * columns);
    });
  });

  it.each([
    ["Gaussian 260 × 265", gaussian(260, 265)],
    ["heavy-tailed 290 × 262", heavyTailed(290, 262)],
    ["structured 258 × 300", structured(258, 300)],
    ["rank 1, 270 × 280", fill(270, 280, (row, column) => 2 ** (row % 5) * ((column % 7) - 3))],
  ])("finds the largest singular value of %s", async (_, matrix) => {
    const exact = largestSingularValue(matrix);
    const found = await backend.sigmaMax(matrix);
    expect(Math.abs(found / exact - 1)).toBeLessThan(tolerance.sigmaMax);
  });

  it("finds the same largest singular value again", async () => {
    const matrix = structured(258, 261);
    expect(await backend.sigmaMax(matrix)).toBe(await backend.sigmaMax({ ...matrix }));
  });

  it.each(["F32", "F16", "BF16"] as const)("takes %s weights as they are stored", async (type) => {
    const { data: given, rows, columns } = heavyTailed(35, 67);
    // Odd in number and address, with subnormal halves, zeros of both signs, NaN and infinities.
    given.set([2 ** -20, -(2 ** -24), 0, -0, Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY], 60);
    const encoded = encodeFloats(type, given);
    const bytes = new Uint8Array(encoded.length + 1).subarray(1);
    bytes.set(encoded);
    const matrix: Matrix = { data: decodeRows(type, bytes), rows, columns, stored: { type, bytes } };
    const moments = await backend.moments(matrix);
    const exact = await referenceBackend().moments(matrix);
    expect(moments.nonFinite).toBe(3);
    expectClose(moments.rowPower, [...exact.rowPower], tolerance.moments);
    expectClose(moments.columnPower, [...exact.columnPower], tolerance.moments);
  });

  it.skipIf(backend.decode === undefined)(
    "decodes every half and every bf16 exactly, wherever the bytes lie",
    async () => {
      const all = new Uint8Array(1 + 2 * 65_536);
      new Uint8Array(all.buffer, 1).set(new Uint8Array(Uint16Array.from({ length: 65_536 }, (_, at) => at).buffer));
      for (const type of ["F16", "BF16", "F32"] as const) {
        for (const bytes of [all.subarray(1), all.subarray(1, 1 + 4 * 4097), all.subarray(1, 5), all.subarray(1, 1)]) {
          const expected = decodeRows(type, bytes);
          const found = await backend.decode?.(type, bytes);
          expect(found?.length).toBe(expected.length);
          // Object.is: a zero has a sign, and one NaN is as good as another.
          expect(expected.every((weight, at) => Object.is(found?.[at], weight))).toBe(true);
        }
        await expect(backend.decode?.(type, all)).rejects.toThrow(`no whole number of ${type} weights`);
      }
    },
  );

  it("counts NaN and infinite weights and leaves them out of the powers", async () => {
    const data = Float32Array.from([1, Number.NaN, 2, Number.POSITIVE_INFINITY, 3, Number.NEGATIVE_INFINITY]);
    const moments = await backend.moments({ data, rows: 2, columns: 3 });
    expect(moments.nonFinite).toBe(3);
    expect(Array.from(moments.rowPower)).toEqual([5, 9]);
    expect(Array.from(moments.columnPower)).toEqual([1, 9, 4]);
  });

  it("takes matrices without weights", async () => {
    for (const [rows, columns] of [
      [0, 5],
      [5, 0],
    ] as const) {
      const empty: Matrix = { data: new Float32Array(0), rows, columns };
      expect(await backend.moments(empty)).toEqual({
        rowPower: new Float64Array(rows),
        columnPower: new Float64Array(columns),
        nonFinite: 0,
      });
      expect((await backend.osqe(empty)).boundary).toEqual({ near: 0, expected: 0 });
      expect(await backend.sigmaMax(empty)).toBe(0);
      expect(await backend.windowEigenvalues(empty, 0, [], 0)).toEqual([]);
    }
  });

  it("changes nothing in a view of a larger buffer", async () => {
    const { data } = gaussian(10, 64);
    const view: Matrix = { data: data.subarray(128, 512), rows: 6, columns: 64 };
    const alone: Matrix = { ...view, data: view.data.slice() };
    expect(await backend.osqe(view)).toEqual(await backend.osqe(alone));
    expect(await backend.sigmaMax(view)).toBe(await backend.sigmaMax(alone));
    expect(await backend.windowEigenvalues(view, 5, [3], 1)).toEqual(await backend.windowEigenvalues(alone, 5, [3], 1));
    expect(data).toEqual(gaussian(10, 64).data);
  });
});

function expectClose(actual: Float64Array, expected: readonly number[], tolerance: number): void {
  expect(actual.length).toBe(expected.length);
  for (const [index, value] of expected.entries()) {
    expect(Math.abs((actual[index] ?? Number.NaN) - value)).toBeLessThanOrEqual(tolerance * value);
  }
}
