/**
 * The webgpu backend: WGSL kernels through npm's `webgpu` (Dawn). Moments, quantization errors and the products of σ₁
 * run on the GPU, from weights that are uploaded once, as they are stored. Eigenvalues stay on the processor: windows go
 * to the native backend whole where that is there, since their Gram matrices are a seventh of its work.
 * What the GPU fails to do (device lost, memory exhausted) the processor does again. It is used only where it passes a
 * self-check against the reference.
 */
import { BackendError } from "../errors.ts";
import type { Backend, Matrix, Moments, OsqeSums } from "./backend.ts";
import { checkMatrix, checkWindows } from "./check-arguments.ts";
import type { DecodableType } from "./decode.ts";
import { deviceProblem } from "./device/self-check.ts";
import { sigmaMaxOfDense, windowEigenvaluesOnDevice } from "./device/spectra.ts";
import { findAdapter, mayHaveGpu, type OpenGpu, openDawn, openDevice } from "./webgpu/adapter.ts";
import { GpuDevice } from "./webgpu/gpu-device.ts";
import { gpuProducts } from "./webgpu/products.ts";
import { gpuMoments, gpuOsqe } from "./webgpu/sums.ts";
import type { UploadedWeights } from "./webgpu/uploaded-weights.ts";
import { WeightStore } from "./webgpu/weight-store.ts";

export interface WebGpuOptions {
  /** Only a GPU, no program that plays one. */
  readonly onlyHardware?: boolean;
  /** Bytes of a matrix a shader sees at once; default: what the device allows. */
  readonly maxBindingBytes?: number;
  /** Where the GPU comes from; default: Dawn. */
  readonly open?: OpenGpu;
}

/**
 * Open the webgpu backend, or say why there is none and, after a semicolon, what to do. Closing it closes `processor`,
 * the backend that computes what is left; where there is no webgpu backend, `processor` stays open.
 */
export async function openWebGpuBackend(processor: Backend, options: WebGpuOptions = {}): Promise<Backend | string> {
  const { onlyHardware = false, open = openDawn } = options;
  if (onlyHardware && !mayHaveGpu()) return "there is no GPU; --backend webgpu takes a program that plays one";
  const adapter = await findAdapter();
  if (typeof adapter === "string") return adapter;
  const { name, software } = adapter;
  if (onlyHardware && software) return `${name} is no GPU but a program that plays one; --backend webgpu takes it`;
  let backend: WebGpuBackend;
  try {
    const device = new GpuDevice(await openDevice(open));
    backend = new WebGpuBackend(
      device,
      processor,
      software ? `${name}, no GPU but a program that plays one` : name,
      options,
    );
  } catch (error) {
    return `${name} can't be opened (${(error as Error).message}); update its driver`;
  }
  const problem = (await deviceProblem(backend)) ?? backend.failure;
  if (problem === undefined) return backend;
  backend.release();
  return problem;
}

class WebGpuBackend implements Backend {
  readonly name = "webgpu";
  readonly decode?: (type: DecodableType, bytes: Uint8Array) => Promise<Float32Array>;
  readonly #device: GpuDevice;
  readonly #processor: Backend;
  readonly #adapter: string;
  readonly #store: WeightStore;
  #redone = 0;
  #closed = false;

  constructor(device: GpuDevice, processor: Backend, adapter: string, { maxBindingBytes }: WebGpuOptions) {
    this.#device = device;
    this.#processor = processor;
    this.#adapter = adapter;
    this.#store = new WeightStore(
      device,
      Math.min(maxBindingBytes ?? Number.POSITIVE_INFINITY, device.maxBindingBytes),
    );
    if (processor.decode !== undefined) this.decode = processor.decode.bind(processor);
  }

  get description(): string {
    const { failure } = this;
    return `${this.#adapter}; eigenvalues by ${this.#processor.name}${failure === undefined ? "" : `; ${failure}`}`;
  }

  /** What the GPU failed to do, in words, or undefined. */
  get failure(): string | undefined {
    const { lost } = this.#device;
    if (lost !== undefined && !this.#closed) return `the GPU was lost (${lost}), ${this.#processor.name} goes on`;
    return this.#redone === 0
      ? undefined
      : `${this.#redone} calls failed and were done again by ${this.#processor.name}`;
  }

  moments(matrix: Matrix): Promise<Moments> {
    return this.#run(
      "moments",
      matrix,
      (weights) => gpuMoments(this.#device, weights, matrix.rows, matrix.columns),
      () => this.#processor.moments(matrix),
    );
  }

  osqe(matrix: Matrix): Promise<OsqeSums> {
    return this.#run(
      "osqe",
      matrix,
      (weights) => gpuOsqe(this.#device, weights),
      () => this.#processor.osqe(matrix),
    );
  }

  sigmaMax(matrix: Matrix): Promise<number> {
    return this.#run(
      "sigmaMax",
      matrix,
      async ({ pieces, scale }) =>
        (await sigmaMaxOfDense(gpuProducts(this.#device), pieces, matrix.rows, matrix.columns)) / scale,
      () => this.#processor.sigmaMax(matrix),
    );
  }

  async windowEigenvalues(
    matrix: Matrix,
    size: number,
    columnOffsets: readonly number[],
    rowOffset: number,
  ): Promise<Float64Array[]> {
    this.#checkOpen("windowEigenvalues");
    checkWindows(this.name, matrix, size, columnOffsets, rowOffset);
    const byProcessor = () => this.#processor.windowEigenvalues(matrix, size, columnOffsets, rowOffset);
    if (this.#processor.name === "native") return byProcessor();
    const products = gpuProducts(this.#device);
    return this.#attempt(
      () => windowEigenvaluesOnDevice(products, matrix, size, columnOffsets, rowOffset),
      byProcessor,
    );
  }

  async close(): Promise<void> {
    this.release();
    await this.#processor.close();
  }

  /** Give the device back and leave the processor's backend open. */
  release(): void {
    this.#closed = true;
    this.#device.close();
  }

  async #run<Result>(
    operation: string,
    matrix: Matrix,
    onGpu: (weights: UploadedWeights) => Promise<Result>,
    onProcessor: () => Promise<Result>,
  ): Promise<Result> {
    this.#checkOpen(operation);
    checkMatrix(this.name, matrix);
    if (matrix.data.length === 0) return onProcessor();
    return this.#attempt(() => this.#store.use(matrix, onGpu), onProcessor);
  }

  /** Compute on the GPU; on the processor where the GPU is lost or any of its steps failed meanwhile. */
  async #attempt<Result>(onGpu: () => Promise<Result>, onProcessor: () => Promise<Result>): Promise<Result> {
    if (this.#device.lost !== undefined) return onProcessor();
    const before = this.#device.failures;
    try {
      const result = await onGpu();
      await this.#device.settle();
      if (this.#device.failures === before) return result;
    } catch (error) {
      if (this.#closed) throw error;
    }
    this.#redone++;
    return onProcessor();
  }

  #checkOpen(operation: string): void {
    if (this.#closed) throw new BackendError(`webgpu backend: ${operation} was called after close`);
  }
}
