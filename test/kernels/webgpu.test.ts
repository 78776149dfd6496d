import { afterAll, describe, expect, it } from "vitest";
import { referenceBackend } from "../../src/kernels/reference.ts";
import { type OpenGpu, openDawn } from "../../src/kernels/webgpu/adapter.ts";
import { openWebGpuBackend } from "../../src/kernels/webgpu.ts";
import { fill, gaussian, heavyTailed } from "./matrices.ts";
import { openAnyWebGpu } from "./opened-backends.ts";
import { TOLERANCES } from "./tolerances.ts";

/** Dawn, with the devices it opened. */
const devices: GPUDevice[] = [];
const open: OpenGpu = async () => {
  const gpu = await openDawn();
  return {
    ...({} as GPU),
    requestAdapter: async (options) => {
      const adapter = await gpu.requestAdapter(options);
      if (adapter === null) return null;
      const requestDevice = async (descriptor?: GPUDeviceDescriptor) => {
        const device = await adapter.requestDevice(descriptor);
        devices.push(device);
        return device;
      };
      return { ...({} as GPUAdapter), limits: adapter.limits, requestDevice };
    },
  };
};

// Six rows of the largest matrix here fit a binding of 1 KiB.
const backend = await openAnyWebGpu({ open, maxBindingBytes: 1024 });
const problem = typeof backend === "string" ? backend : undefined;
const reference = referenceBackend();
afterAll(async () => {
  if (typeof backend !== "string") await backend.close();
});

describe.skipIf(typeof backend === "string")(`webgpu backend${problem === undefined ? "" : `: ${problem}`}`, () => {
  if (typeof backend === "string") return;

  it("says what computes, and that it is no GPU where it is none", () => {
    expect(backend.description).toMatch(/; eigenvalues by reference$/);
    if (/swiftshader/i.test(backend.description)) expect(backend.description).toContain("no GPU but a program");
  });

  it("splits a matrix that is larger than a binding by rows", async () => {
    const matrix = heavyTailed(50, 41);
    const [found, exact] = [await backend.moments(matrix), await reference.moments(matrix)];
    for (const [row, power] of found.rowPower.entries()) expect(power / (exact.rowPower[row] ?? 0)).toBeCloseTo(1, 5);
    for (const [at, power] of found.columnPower.entries())
      expect(power / (exact.columnPower[at] ?? 0)).toBeCloseTo(1, 5);
    const [sums, exactSums] = [await backend.osqe(matrix), await reference.osqe(matrix)];
    for (const bits of [2, 3, 4, 6] as const) {
      expect(Math.abs(sums.error[bits] / exactSums.error[bits] - 1)).toBeLessThan(TOLERANCES.webgpu.osqe);
    }
    const sigma = await backend.sigmaMax(matrix);
    expect(Math.abs(sigma / (await reference.sigmaMax(matrix)) - 1)).toBeLessThan(TOLERANCES.webgpu.sigmaMax);
    expect(backend.description).not.toContain("again");
  });

  it("leaves to the processor what does not fit in 32 bits or in a binding", async () => {
    const tiny = fill(5, 7, (row, column) => 2 ** -120 * (1 + row + column));
    expect(await backend.moments(tiny)).toEqual(await reference.moments(tiny));
    const wide = gaussian(2, 300);
    expect(await backend.osqe(wide)).toEqual(await reference.osqe(wide));
    expect(backend.description).toContain("2 calls failed and were done again by reference");
  });

  it("goes on with the processor when the GPU is lost, in the middle of a call too", async () => {
    const matrix = gaussian(20, 33);
    const pending = [backend.moments(matrix), backend.osqe(matrix), backend.sigmaMax(matrix)] as const;
    for (const device of devices) device.destroy();
    const exact = await reference.moments(matrix);
    const [moments, osqe, sigma] = await Promise.all(pending);
    for (const [row, power] of moments.rowPower.entries()) expect(power / (exact.rowPower[row] ?? 0)).toBeCloseTo(1, 5);
    expect(osqe.power / (await reference.osqe(matrix)).power).toBeCloseTo(1, 5);
    expect(sigma / (await reference.sigmaMax(matrix))).toBeCloseTo(1, 5);
    expect(await backend.moments(matrix)).toEqual(exact);
    expect(backend.description).toMatch(/the GPU was lost \(.*\), reference goes on$/);
  });

  it("refuses matrices that are none, and calls after close", async () => {
    const matrix = gaussian(10, 12);
    await expect(backend.sigmaMax({ ...matrix, rows: 11 })).rejects.toThrow("a matrix of 11 × 12 has 120 weights");
    await backend.close();
    await expect(backend.osqe(matrix)).rejects.toThrow("osqe was called after close");
  });
});

it("says why there is none and what to do", async () => {
  const before = process.env.VK_ICD_FILENAMES;
  process.env.VK_ICD_FILENAMES = "/nonexistent.json";
  try {
    const found = await openWebGpuBackend(referenceBackend());
    if (typeof found === "string") expect(found).toMatch(/^no GPU that WebGPU can use was found; install its driver/);
    else await found.close();
  } finally {
    if (before === undefined) delete process.env.VK_ICD_FILENAMES;
    else process.env.VK_ICD_FILENAMES = before;
  }
});

it("takes no program that plays a GPU where only a GPU will do", async () => {
  const found = await openAnyWebGpu({ onlyHardware: true });
  if (typeof found === "string") expect(found).toMatch(/; .*--backend webgpu takes|^no GPU|^the package webgpu/);
  else await found.close();
});
