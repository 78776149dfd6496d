/**
 * A GPU device as the kernels use it: buffers, dispatches, results read back, and every failure noticed. WebGPU reports
 * errors later and elsewhere: a dispatch that was refused leaves its result buffer as it was. So the errors of each step
 * are counted; a result is good where none came up by the time all steps are settled.
 */
import { BackendError } from "../../errors.ts";
import type { OpenedDevice } from "./adapter.ts";

export interface Shader {
  readonly name: string;
  /** WGSL with an entry point `main`; bindings 0, 1, … are the buffers, the last one the parameters. */
  readonly code: string;
}

/** Parameters of a dispatch in the order of the shader's struct, 4 bytes each. */
export type Parameters = readonly (number | { readonly f32: number })[];

/** Workgroups in one dimension at most, by WebGPU's own limit. */
const MAX_GROUPS = 65_535;

// GPUBufferUsage and GPUMapMode, which are globals in browsers only.
const MAP_READ = 0x01;
const COPY_SRC = 0x04;
const COPY_DST = 0x08;
const UNIFORM = 0x40;
const STORAGE = 0x80;
const MODE_READ = 0x01;

export class GpuDevice {
  readonly #device: GPUDevice;
  #gpu: GPU | undefined;
  readonly #pipelines = new Map<string, GPUComputePipeline>();
  readonly #pending = new Set<Promise<void>>();
  #failures = 0;
  #lost: string | undefined;

  constructor({ gpu, device }: OpenedDevice) {
    this.#gpu = gpu;
    this.#device = device;
    void device.lost.then(({ reason, message }) => {
      this.#lost = message.split("\n")[0] || reason;
    });
    device.addEventListener("uncapturederror", (event) => {
      event.preventDefault();
      this.#failures++;
    });
  }

  /** Why the device is gone, or undefined while it is there. */
  get lost(): string | undefined {
    return this.#lost;
  }

  /** Bytes of the largest matrix piece a shader can see. */
  get maxBindingBytes(): number {
    const { maxBufferSize, maxStorageBufferBindingSize } = this.#device.limits;
    return Math.min(maxBufferSize, maxStorageBufferBindingSize);
  }

  /** A buffer for shaders, all 0. */
  createBuffer(bytes: number): GPUBuffer {
    const size = Math.max(4, Math.ceil(bytes / 4) * 4);
    return this.#checked(() => this.#device.createBuffer({ size, usage: STORAGE | COPY_SRC | COPY_DST }));
  }

  /** Copy bytes to the buffer's begin. They are taken over at once; the transfer overlaps with what the GPU computes. */
  write(buffer: GPUBuffer, bytes: Uint8Array): void {
    const whole = bytes.byteLength - (bytes.byteLength % 4);
    this.#checked(() => {
      if (whole > 0) this.#device.queue.writeBuffer(buffer, 0, bytes, 0, whole);
      if (whole === bytes.byteLength) return;
      const rest = new Uint8Array(4);
      rest.set(bytes.subarray(whole));
      this.#device.queue.writeBuffer(buffer, whole, rest);
    });
  }

  /** Append copies of the sources to each other in `target`. */
  concatenate(target: GPUBuffer, sources: readonly { readonly buffer: GPUBuffer; readonly bytes: number }[]): void {
    this.#checked(() => {
      const encoder = this.#device.createCommandEncoder();
      let offset = 0;
      for (const { buffer, bytes } of sources) {
        encoder.copyBufferToBuffer(buffer, 0, target, offset, bytes);
        offset += bytes;
      }
      this.#device.queue.submit([encoder.finish()]);
    });
  }

  /** Run a shader on a grid of workgroups. */
  dispatch(shader: Shader, buffers: readonly GPUBuffer[], parameters: Parameters, x: number, y: number): void {
    if (x === 0 || y === 0) return;
    this.#checked(() => {
      const pipeline = this.#pipeline(shader);
      const uniform = this.#uniform(parameters);
      const entries = [...buffers, uniform].map((buffer, binding) => ({ binding, resource: { buffer } }));
      const encoder = this.#device.createCommandEncoder();
      const pass = encoder.beginComputePass();
      pass.setPipeline(pipeline);
      pass.setBindGroup(0, this.#device.createBindGroup({ layout: pipeline.getBindGroupLayout(0), entries }));
      pass.dispatchWorkgroups(x, y);
      pass.end();
      this.#device.queue.submit([encoder.finish()]);
      uniform.destroy();
    });
  }

  /** Run a shader on so many workgroups, which count x first, then y. */
  dispatchMany(shader: Shader, buffers: readonly GPUBuffer[], parameters: Parameters, groups: number): void {
    const x = Math.min(groups, MAX_GROUPS);
    this.dispatch(shader, buffers, parameters, x, x === 0 ? 0 : Math.ceil(groups / x));
  }

  /** Read the begin of a buffer back, when all that was submitted before is done. */
  async read(buffer: GPUBuffer, bytes: number): Promise<ArrayBuffer> {
    if (bytes === 0) return new ArrayBuffer(0);
    const copy = this.#checked(() => {
      const target = this.#device.createBuffer({ size: bytes, usage: MAP_READ | COPY_DST });
      const encoder = this.#device.createCommandEncoder();
      encoder.copyBufferToBuffer(buffer, 0, target, 0, bytes);
      this.#device.queue.submit([encoder.finish()]);
      return target;
    });
    try {
      await copy.mapAsync(MODE_READ);
      return copy.getMappedRange().slice(0);
    } finally {
      copy.destroy();
    }
  }

  /** How many steps are known to have failed. */
  get failures(): number {
    return this.#failures;
  }

  /** Wait until it is known of all steps so far whether they failed. */
  async settle(): Promise<void> {
    await Promise.all(this.#pending);
  }

  /** Give the device back. Node does not exit before. */
  close(): void {
    if (this.#gpu === undefined) return;
    this.#device.destroy();
    this.#gpu = undefined;
  }

  #pipeline({ name, code }: Shader): GPUComputePipeline {
    const known = this.#pipelines.get(name);
    if (known !== undefined) return known;
    const module = this.#device.createShaderModule({ label: name, code });
    const pipeline = this.#device.createComputePipeline({
      label: name,
      layout: "auto",
      compute: { module, entryPoint: "main" },
    });
    this.#pipelines.set(name, pipeline);
    return pipeline;
  }

  #uniform(parameters: Parameters): GPUBuffer {
    const size = 4 * Math.ceil(parameters.length / 4) * 4;
    const buffer = this.#device.createBuffer({ size, usage: UNIFORM, mappedAtCreation: true });
    const view = new DataView(buffer.getMappedRange());
    for (const [at, value] of parameters.entries()) {
      if (typeof value === "number") view.setUint32(4 * at, value, true);
      else view.setFloat32(4 * at, value.f32, true);
    }
    buffer.unmap();
    return buffer;
  }

  /** Do a step without waiting and note whether it failed. Nothing may be awaited inside: scopes are a stack. */
  #checked<Result>(step: () => Result): Result {
    if (this.#lost !== undefined) throw new BackendError(`webgpu backend: the GPU is gone (${this.#lost})`);
    const filters = ["validation", "out-of-memory", "internal"] as const;
    for (const filter of filters) this.#device.pushErrorScope(filter);
    try {
      return step();
    } finally {
      for (const _ of filters) {
        const outcome = this.#device.popErrorScope().then(
          (error) => {
            if (error !== null) this.#failures++;
          },
          () => {
            this.#failures++;
          },
        );
        this.#pending.add(outcome);
        void outcome.then(() => this.#pending.delete(outcome));
      }
    }
  }
}
