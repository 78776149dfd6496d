/**
 * Which layers' experts stay in RAM where a model of experts is larger than the GPU: as few as let weights on the GPU and
 * in RAM have about the same bits, so that neither memory is left empty while the other starves.
 */
import { InfeasibleError, UsageError } from "../errors.ts";
import { inBuffer, ROUTED_EXPERTS } from "../footprint/weight-places.ts";
import { bitsPerWeight, elementCount, type TensorType, tensorBytes } from "../ggml/tensor-types.ts";
import type { TensorInfo } from "../gguf/model.ts";
import { formatSize } from "../numbers.ts";
import { type BudgetMemory, bytesForWeights, bytesInRam } from "../plan/budget-memory.ts";

/** For the program, the system's share of it, and what the processor computes in. */
export const RAM_MARGIN_BYTES = 1024 * 2 ** 20;
/** Beyond these bits there is nothing to win: the GPU takes as many layers as it can. */
const MOST_BITS = bitsPerWeight("Q8_0");
/** The staged tensor may have more bits than the mean. */
const STAGED = 1.25;

export interface Placed {
  /** Of a GPU's memory, without the experts. */
  readonly memory: BudgetMemory;
  readonly tensors: readonly TensorInfo[];
  /** Bytes of each tensor in the smallest type that a plan could give it. */
  readonly leastBytes: ReadonlyMap<string, number>;
  readonly text: string;
}

/** The memory with the experts that are in RAM. Throws UsageError for a model without experts, InfeasibleError. */
export function placeExperts(placed: Placed, ramBytes: number): BudgetMemory {
  const { memory, tensors, text } = placed;
  const notLoaded = new Set(memory.notOnGpu);
  const experts = tensors.filter(({ name }) => ROUTED_EXPERTS.test(name) && !notLoaded.has(name));
  if (experts.length === 0) {
    throw new UsageError("--ram: says where experts go, and this model has none; leave --ram out");
  }
  const layers = [...new Set(experts.map(({ name }) => layerOf(name)))].sort((a, b) => a - b);
  const bits = meanBits(placed, ramBytes);
  const staged = Math.max(...experts.map(({ elements }) => elements));
  const stagingBytes = Math.ceil((staged * Math.min(MOST_BITS, STAGED * bits)) / 8);
  const last = layers.at(-1) ?? 0;
  const withFirst = (count: number): BudgetMemory => {
    const inRam = experts.filter(({ name }) => layerOf(name) < count).map(({ name }) => name);
    const ram = { ramBytes, marginBytes: RAM_MARGIN_BYTES, embeddingBytes: copiedBytes(memory, tensors), stagingBytes };
    return {
      ...memory,
      experts: { ...ram, layers: count, allLayers: count > last },
      notOnGpu: [...memory.notOnGpu, ...inRam],
    };
  };
  const candidates = layers.map((layer) => withFirst(layer + 1));
  const chosen =
    candidates.find((candidate) => fitsGpu(candidate, tensors, bits) && hasLeast(candidate, placed)) ??
    candidates.findLast((candidate) => hasLeast(candidate, placed));
  if (chosen !== undefined) return chosen;
  throw new InfeasibleError(`${text}: ${lack(withFirst(last + 1), placed)}`);
}

/** Bits per weight that all the memory has for all the weights. */
function meanBits({ memory, tensors }: Placed, ramBytes: number): number {
  const elements = tensors.reduce((sum, tensor) => sum + tensor.elements, 0);
  const bytes = Math.max(0, bytesForWeights(memory)) + Math.max(0, ramBytes - RAM_MARGIN_BYTES);
  return Math.min(MOST_BITS, (8 * bytes) / elements);
}

function fitsGpu(memory: BudgetMemory, tensors: readonly TensorInfo[], bits: number): boolean {
  const elsewhere = new Set(memory.notOnGpu);
  const elements = tensors.reduce((sum, tensor) => sum + (elsewhere.has(tensor.name) ? 0 : tensor.elements), 0);
  return (elements * bits) / 8 <= bytesForWeights(memory);
}

/** Bytes of the smallest weights on the GPU, and in RAM. */
function leastOf({ notOnGpu }: BudgetMemory, { tensors, leastBytes }: Placed): { gpu: number; ram: number } {
  const elsewhere = new Set(notOnGpu);
  const sums = { gpu: 0, ram: 0 };
  for (const { name, bytes } of tensors) {
    sums[elsewhere.has(name) ? "ram" : "gpu"] += inBuffer(leastBytes.get(name) ?? bytes);
  }
  return sums;
}

function hasLeast(memory: BudgetMemory, placed: Placed): boolean {
  const least = leastOf(memory, placed);
  return (
    least.gpu <= bytesForWeights(memory) && memory.experts !== undefined && least.ram <= bytesInRam(memory.experts)
  );
}

function lack(memory: BudgetMemory, placed: Placed): string {
  const least = leastOf(memory, placed);
  const onGpu = bytesForWeights(memory);
  const vram = `${formatSize(least.gpu + memory.vramBytes - onGpu)} of --vram`;
  const ram = `${formatSize(least.ram + RAM_MARGIN_BYTES + (memory.experts?.embeddingBytes ?? 0))} of --ram`;
  return `with all experts in RAM the smallest file of this model needs ${vram} and ${ram}; give more, or a smaller --ctx`;
}

/** Input embeddings that the GPU has a copy of, as large as Q8_0 makes them. */
function copiedBytes({ notOnGpu }: BudgetMemory, tensors: readonly TensorInfo[]): number {
  const tied = tensors.find(({ name }) => name === "token_embd.weight");
  if (tied === undefined || notOnGpu.includes(tied.name)) return 0;
  return Math.min(tied.bytes, bytesAs("Q8_0", tied) ?? tied.bytes);
}

function bytesAs(type: TensorType, { shape }: TensorInfo): number | undefined {
  return (shape[0] ?? 0) % 32 === 0 && elementCount(shape) > 0 ? tensorBytes(type, shape) : undefined;
}

function layerOf(name: string): number {
  return Number(/^blk\.(\d+)\./.exec(name)?.[1] ?? 0);
}
