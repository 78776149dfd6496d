/** Matrices on the GPU, kept for the next operation on the same one; the one used longest ago makes room. */
import type { Matrix } from "../backend.ts";
import type { GpuDevice } from "./gpu-device.ts";
import { type UploadedWeights, uploadWeights } from "./uploaded-weights.ts";

/** Bytes of GPU memory that matrices may take when nobody uses them: four of the largest pieces of a tensor. */
const KEPT_BYTES = 2 ** 28;

interface Entry {
  readonly weights: Promise<UploadedWeights>;
  readonly bytes: number;
  users: number;
}

export class WeightStore {
  readonly #device: GpuDevice;
  readonly #maxBindingBytes: number;
  /** Weak: the weights in the processor's memory go when their owner lets go of them. */
  readonly #byMatrix = new WeakMap<Matrix, Entry>();
  /** In the order of last use. */
  readonly #entries = new Set<Entry>();

  constructor(device: GpuDevice, maxBindingBytes: number) {
    this.#device = device;
    this.#maxBindingBytes = maxBindingBytes;
  }

  /** Run `work` on a matrix, uploaded at its first use. Its weights stay on the GPU at least until then. */
  async use<Result>(matrix: Matrix, work: (weights: UploadedWeights) => Promise<Result>): Promise<Result> {
    const known = this.#byMatrix.get(matrix);
    const entry = (known !== undefined && this.#entries.has(known) ? known : undefined) ?? {
      weights: uploadWeights(this.#device, matrix, this.#maxBindingBytes),
      bytes: matrix.data.byteLength,
      users: 0,
    };
    entry.users++;
    this.#byMatrix.set(matrix, entry);
    this.#entries.delete(entry);
    this.#entries.add(entry);
    this.#makeRoom();
    try {
      return await work(await entry.weights);
    } catch (error) {
      // Whatever it was, the next one uploads anew.
      this.#entries.delete(entry);
      throw error;
    } finally {
      entry.users--;
      if (entry.users === 0 && !this.#entries.has(entry)) await release(entry);
      this.#makeRoom();
    }
  }

  #makeRoom(): void {
    let total = [...this.#entries].reduce((sum, { bytes }) => sum + bytes, 0);
    for (const entry of this.#entries) {
      if (total <= KEPT_BYTES) return;
      if (entry.users > 0) continue;
      this.#entries.delete(entry);
      total -= entry.bytes;
      void release(entry);
    }
  }
}

async function release(entry: Entry): Promise<void> {
  const weights = await entry.weights.catch(() => undefined);
  for (const { buffer } of weights?.pieces ?? []) buffer.destroy();
}
