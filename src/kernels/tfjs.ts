/**
 * The tfjs backend: Gram matrices and Krylov iterations as operations of whatever TensorFlow.js package is installed;
 * sums over weights and quantization errors, which are no matrix products, on the processor, in the backend it is given.
 * It is used only where it passes a self-check against the reference.
 */
import { BackendError } from "../errors.ts";
import type { Backend } from "./backend.ts";
import { checkMatrix, checkWindows } from "./check-arguments.ts";
import { deviceProblem } from "./device/self-check.ts";
import { sigmaMaxOnDevice, windowEigenvaluesOnDevice } from "./device/spectra.ts";
import { type Import, loadTf } from "./tfjs/load.ts";
import { tfjsProducts } from "./tfjs/products.ts";

export interface TfjsBackend extends Backend {
  /** Whether TensorFlow computes on a GPU. */
  readonly onGpu: boolean;
}

/**
 * Open the tfjs backend, or say why there is none and, after a semicolon, what to do. Closing it closes `processor`,
 * the backend that computes what is no matrix product; where there is no tfjs backend, `processor` stays open.
 */
export async function openTfjsBackend(
  processor: Backend,
  packages?: readonly string[],
  load?: Import,
  onlyOnGpu = false,
): Promise<TfjsBackend | string> {
  const loaded = await loadTf(packages, load);
  if (typeof loaded === "string") return loaded;
  const { tf, packageName, onGpu } = loaded;
  if (onlyOnGpu && !onGpu) return `${packageName} finds no GPU; --backend tfjs takes it without one`;
  const products = tfjsProducts(tf);
  const where = onGpu ? "on a GPU" : "not on a GPU";
  let closed = false;
  const open = (operation: string) => {
    if (closed) throw new BackendError(`tfjs backend: ${operation} was called after close`);
  };
  const backend: TfjsBackend = {
    name: "tfjs",
    onGpu,
    description: `${packageName} ${tf.version_core}, ${tf.getBackend()}, ${where}; sums by ${processor.name}`,
    ...(processor.decode === undefined ? {} : { decode: processor.decode.bind(processor) }),
    moments: (matrix) => processor.moments(matrix),
    osqe: (matrix) => processor.osqe(matrix),
    windowEigenvalues: async (matrix, size, columnOffsets, rowOffset) => {
      open("windowEigenvalues");
      checkWindows("tfjs", matrix, size, columnOffsets, rowOffset);
      return windowEigenvaluesOnDevice(products, matrix, size, columnOffsets, rowOffset);
    },
    sigmaMax: async (matrix) => {
      open("sigmaMax");
      checkMatrix("tfjs", matrix);
      return sigmaMaxOnDevice(products, matrix);
    },
    close: async () => {
      closed = true;
      await processor.close();
    },
  };
  const problem = await deviceProblem(backend);
  return problem === undefined ? backend : problem;
}
