/** The operations of a backend as bench/kernels.ts times them: native, reference, and the time their limit would take. */
import type { Backend } from "../src/kernels/backend.ts";
import { decodeRows } from "../src/kernels/decode.ts";
import type { NativeLibrary } from "../src/kernels/native-library.ts";
import { gaussian } from "../test/kernels/matrices.ts";
import type { Limits } from "./limits.ts";

export interface Operation {
  readonly name: string;
  /** Weights or logits of one call. */
  readonly elements: number;
  /** Both return what is compared. */
  readonly native: () => Promise<ArrayLike<number>> | ArrayLike<number>;
  readonly reference: () => Promise<ArrayLike<number>> | ArrayLike<number>;
  /** What binds the kernel and the seconds that alone would take. */
  readonly limit?: { readonly name: string; readonly seconds: number };
}

interface Given {
  readonly library: NativeLibrary;
  readonly native: Backend;
  readonly reference: Backend;
  readonly limits: Limits;
  readonly threads: number;
}

const WINDOW = 256;
const WINDOW_OFFSETS = [0, 500, 1000, 1500, 2000, 2500, 3000, 3840];
/** Eigenvalues below are lost to rounding in any arithmetic. */
const KEPT = WINDOW / 2;

/** All of them, on matrices of Gaussian weights. */
export function backendOperations({ library, native, reference, limits, threads }: Given): Operation[] {
  const [large, band, wide, square] = [
    gaussian(4096, 4096),
    gaussian(256, 4096),
    gaussian(128, 32_768),
    gaussian(1024, 1024),
  ];
  const both = (run: (backend: Backend) => Promise<ArrayLike<number>>) => ({
    native: () => run(native),
    reference: () => run(reference),
  });
  const reading = (bytes: number) => ({ name: "memory read", seconds: bytes / limits.readBytesPerSecond });
  const computing = (flops: number) => ({ name: "peak FLOP/s", seconds: flops / limits.flopsPerSecond });
  // Twice as many numbers to a vector.
  const computingIn32Bits = (flops: number) => ({
    name: "peak FLOP/s in 32 bits",
    seconds: flops / (2 * limits.flopsPerSecond),
  });
  const stored = new Uint8Array(2 * large.data.length).map((_, at) => (at % 2 === 0 ? at >> 3 : 0x20 + (at % 29)));
  const decoded = new Float32Array(large.data.length);
  const decode = (type: "F16" | "BF16"): Operation => ({
    name: `decode ${type}, 4096 × 4096`,
    elements: large.data.length,
    native: () => {
      library.decode(type === "BF16" ? 1 : 0, stored, decoded.length, threads, decoded);
      return decoded;
    },
    reference: () => decodeRows(type, stored),
    limit: { name: "memory copy", seconds: (stored.byteLength + decoded.byteLength) / limits.copyBytesPerSecond },
  });
  return [
    decode("F16"),
    decode("BF16"),
    {
      name: "moments, 4096 × 4096",
      elements: large.data.length,
      ...both(async (backend) => {
        const { rowPower, columnPower } = await backend.moments(large);
        return [...rowPower, ...columnPower];
      }),
      limit: reading(large.data.byteLength),
    },
    {
      name: "OSQE, 256 × 4096",
      elements: band.data.length,
      ...both(async (backend) => {
        const { power, error } = await backend.osqe(band);
        return [power, error[2], error[3], error[4], error[6]];
      }),
    },
    {
      name: `eigenvalues of ${WINDOW_OFFSETS.length} windows of ${WINDOW}`,
      elements: WINDOW_OFFSETS.length * WINDOW ** 2,
      ...both(async (backend) => {
        const windows = await backend.windowEigenvalues(band, WINDOW, WINDOW_OFFSETS, 0);
        return windows.flatMap((window) => [...window.subarray(0, KEPT)]);
      }),
      // Half of the Gram matrix, and the Householder reduction; the iteration on the tridiagonal matrix is not counted.
      limit: computingIn32Bits(WINDOW_OFFSETS.length * (WINDOW ** 2 * (WINDOW + 1) + (4 / 3) * WINDOW ** 3)),
    },
    {
      name: "σ₁ of 128 × 32768 (Gram matrix)",
      elements: wide.data.length,
      ...both(async (backend) => [await backend.sigmaMax(wide)]),
      // Half of the products of rows, each a multiplication and an addition; packing and eigenvalues are not counted.
      limit: computing(128 * 129 * 32_768),
    },
    {
      name: "σ₁ of 1024 × 1024 (Krylov)",
      elements: square.data.length,
      ...both(async (backend) => [await backend.sigmaMax(square)]),
    },
  ];
}
