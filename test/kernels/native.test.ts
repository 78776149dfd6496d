import { copyFileSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, describe, expect, it } from "vitest";
import { fitAlphaHill } from "../../src/analyze/alpha-hill.ts";
import { BackendError } from "../../src/errors.ts";
import { nativeBackend, nativeBackendProblem } from "../../src/kernels/native.ts";
import { libraryPath, loadLibrary } from "../../src/kernels/native-library.ts";
import { selfCheckProblem } from "../../src/kernels/native-self-check.ts";
import { referenceBackend } from "../../src/kernels/reference.ts";
import { fill, gaussian, heavyTailed, structured } from "./matrices.ts";

const folder = mkdtempSync(join(tmpdir(), "prism-native-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const problem = nativeBackendProblem();

describe.skipIf(problem !== undefined)(`native backend${problem === undefined ? "" : `: ${problem}`}`, () => {
  it("gives the same on any number of threads", async () => {
    const backends = [1, 2, 5].map((threads) => nativeBackend({ threads }));
    const [one, ...more] = await Promise.all(
      backends.map(async (backend) => {
        const results = await Promise.all(
          [heavyTailed(700, 450), gaussian(301, 517), structured(90, 2100)].map((matrix) =>
            Promise.all([
              backend.moments(matrix),
              backend.osqe(matrix),
              backend.sigmaMax(matrix),
              backend.windowEigenvalues(matrix, 64, [0, 3, 200, 386], 20),
            ]),
          ),
        );
        await backend.close();
        return results;
      }),
    );
    for (const results of more) expect(results).toEqual(one);
  });

  it("finds the largest singular value of a matrix too large or too small to square in 32 bits", async () => {
    const backend = nativeBackend({ threads: 1 });
    const matrix = gaussian(260, 270);
    const sigma = await backend.sigmaMax(matrix);
    for (const scale of [2 ** 110, 2 ** 124, 2 ** -110, 2 ** -130]) {
      const data = matrix.data.map((weight) => weight * scale);
      expect((await backend.sigmaMax({ ...matrix, data })) / scale / sigma).toBeCloseTo(1, 4);
    }
    const zero = fill(260, 270, () => 0);
    expect(await backend.sigmaMax(zero)).toBe(0);
  });

  it("fits the exponent of 64-bit arithmetic to 1e-5, with outlier columns too", async () => {
    const backend = nativeBackend({ threads: 2 });
    const base = gaussian(256, 512);
    const outliers = (scale: number) =>
      fill(256, 512, (row, column) => (base.data[row * 512 + column] ?? 0) * (column % 101 === 3 ? scale : 1));
    for (const matrix of [
      base,
      heavyTailed(256, 512),
      structured(256, 512),
      outliers(6),
      outliers(20),
      outliers(200),
    ]) {
      const [found, exact] = await Promise.all(
        [backend, referenceBackend()].map(async (each) =>
          fitAlphaHill(await each.windowEigenvalues(matrix, 256, [0, 256], 0)),
        ),
      );
      if (typeof found !== "object" || typeof exact !== "object") throw new Error("no exponent");
      expect(Math.abs(found.value / exact.value - 1)).toBeLessThan(1e-5);
    }
  });

  it("refuses lengths and windows that leave the matrix", async () => {
    const backend = nativeBackend({ threads: 1 });
    const matrix = gaussian(10, 12);
    const short = { ...matrix, rows: 11 };
    for (const call of [() => backend.moments(short), () => backend.osqe(short), () => backend.sigmaMax(short)]) {
      await expect(call()).rejects.toThrow("a matrix of 11 × 12 has 120 weights");
    }
    for (const [size, offsets, row] of [
      [5, [8], 0],
      [5, [-1], 0],
      [5, [0.5], 0],
      [5, [0], 6],
      [11, [0], 0],
      [5, [0], -1],
      [5, [Number.NaN], 0],
    ] as const) {
      await expect(backend.windowEigenvalues(matrix, size, offsets, row)).rejects.toThrow(/leave the matrix/);
    }
  });

  it("survives weights that are not finite", async () => {
    const backend = nativeBackend({ threads: 2 });
    for (const weight of [Number.NaN, Number.POSITIVE_INFINITY]) {
      const matrix = fill(300, 300, (row) => (row === 7 ? weight : 1));
      await expect(backend.windowEigenvalues(matrix, 20, [3], 0)).rejects.toThrow(/no convergence/);
      await expect(backend.sigmaMax(matrix)).rejects.toThrow(/no convergence/);
      expect((await backend.osqe(matrix)).power).toBe(300 * 299);
    }
  });

  it("rejects a call after close", async () => {
    const backend = nativeBackend({ threads: 1 });
    const running = backend.osqe(gaussian(10, 40));
    await backend.close();
    expect((await running).power).toBeGreaterThan(0);
    await expect(backend.osqe(gaussian(10, 40))).rejects.toThrow(/after close/);
  });

  it.each(["baseline", "avx2"])("agrees with the reference held back to %s", async (isa) => {
    // A copy is a library of its own, which chooses anew.
    const copy = join(folder, `${isa}.so`);
    copyFileSync(libraryPath(), copy);
    process.env.PRISM_ISA = isa;
    const library = loadLibrary(copy);
    if (typeof library === "string") throw new Error(library);
    if (isa === "baseline") expect(library.isa).toMatch(/^(SSE2|NEON|portable)$/);
    expect(selfCheckProblem(library)).toBeUndefined();
    for (const matrix of [heavyTailed(61, 333), gaussian(271, 290)]) {
      const sums = new Float64Array(7);
      expect(library.osqe(matrix.data, matrix.rows, matrix.columns, 2, sums)).toBe(0);
      const { error, power } = await referenceBackend().osqe(matrix);
      const expected = [power, error[2], error[3], error[4], error[6]];
      for (const [at, value] of expected.entries()) expect(Math.abs((sums[at] ?? 0) / value - 1)).toBeLessThan(3e-3);
      const sigma = new Float64Array(1);
      expect(library.sigmaMax(matrix.data, matrix.rows, matrix.columns, 2, sigma)).toBe(0);
      expect((sigma[0] ?? 0) / (await referenceBackend().sigmaMax(matrix))).toBeCloseTo(1, 4);
    }
  });
  afterEach(() => {
    delete process.env.PRISM_ISA;
  });
});

it("says what is wrong with a library and what to do", () => {
  expect(loadLibrary(join(folder, "absent.so"))).toMatch(/not built; .*--backend reference/);
  const broken = join(folder, "broken.so");
  writeFileSync(broken, "not a library");
  expect(loadLibrary(broken)).toMatch(/broken\.so can't be loaded: .*; .*--backend reference/s);
});

it.skipIf(problem === undefined)("throws the reason where it can't be used", () => {
  expect(() => nativeBackend()).toThrow(BackendError);
  expect(() => nativeBackend()).toThrow(problem);
});
