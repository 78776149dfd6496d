/** Models without files, and an engine whose round trip is a real but simple block quantizer. */
import type { Engine, RoundTripJob, RoundTripResult } from "../../src/engine/engine.ts";
import { bpw } from "../../src/ggml/file-bytes.ts";
import type { ModelFacts } from "../../src/ggml/model-facts.ts";
import { rowBytes, TENSOR_TYPES, type TensorType, tensorBytes } from "../../src/ggml/tensor-types.ts";
import type { OpenModel, TensorInfo } from "../../src/gguf/model.ts";
import { decodeRows } from "../../src/kernels/decode.ts";

export interface MemoryTensor {
  readonly name: string;
  readonly shape: readonly number[];
  readonly type?: "F32" | "F16" | "BF16" | "Q8_0";
  readonly data: Uint8Array;
}

export const facts: ModelFacts = {
  arch: "llama",
  layers: 2,
  nextnLayers: 0,
  heads: 4,
  kvHeads: 2,
  experts: 0,
  hasOutput: true,
  rankPooling: false,
  alignment: 32,
  vocabSize: 64,
  contextTrain: 256,
  outputHeaderBytes: 1000,
};

export function f32Tensor(name: string, shape: readonly number[], weight: (index: number) => number): MemoryTensor {
  const elements = shape.reduce((a, b) => a * b, 1);
  return { name, shape, data: new Uint8Array(Float32Array.from({ length: elements }, (_, i) => weight(i)).buffer) };
}

/** Open a model whose data is in memory; `reads` collects the bytes of each read. */
export function memoryModel(tensors: readonly MemoryTensor[], reads: number[] = []): OpenModel {
  const data = new Map(tensors.map((tensor) => [tensor.name, tensor.data]));
  const infos: TensorInfo[] = tensors.map(({ name, shape, type = "F32" }) => ({
    name,
    shape,
    elements: shape.reduce((a, b) => a * b, 1),
    type,
    bytes: tensorBytes(type, shape),
    shard: 0,
    offset: 0,
  }));
  const fileBytes = 1000 + infos.reduce((sum, { bytes }) => sum + bytes, 0);
  return {
    path: "memory.gguf",
    facts,
    fileBytes,
    bpw: bpw(infos),
    change: async () => undefined,
    settle: async () => undefined,
    model: {
      path: "memory.gguf",
      shards: [{ path: "memory.gguf", fileBytes }],
      ggufVersion: 3,
      arch: "llama",
      metadata: new Map(),
      keyTypes: new Map(),
      keyValues: [],
      alignment: 32,
      tensors: infos,
      headerHash: "00",
    },
    async read(tensor, start, bytes) {
      reads.push(bytes);
      return (data.get(tensor.name) as Uint8Array).slice(start, start + bytes);
    },
    async close() {},
  };
}

/** An engine that rounds blocks to the bits of a type (F16 to 11 bits), after `delay` of a job. */
export function blockEngine(delay: (job: RoundTripJob) => Promise<void> = async () => {}): Engine {
  const refuse = () => Promise.reject(new Error("not part of this test"));
  return {
    info: { kind: "embedded", version: "test", origin: "test", devices: [] },
    quantize: refuse,
    close: () => Promise.resolve(),
    library: {
      rewrite: refuse,
      load: refuse,
      loadRanker: refuse,
      async roundTrip(job) {
        await delay(job);
        return roundTrip(job);
      },
    },
  };
}

function roundTrip({ sourceType, rowElements, data, bandRows, types, importance }: RoundTripJob): RoundTripResult {
  const weights = sourceType === "Q8_0" ? decodeQ8(data) : decodeRows(sourceType as "F32", data);
  const rows = data.length / rowBytes(sourceType, rowElements);
  const bands = Math.ceil(rows / bandRows);
  const power = new Float64Array(bands);
  const error: Partial<Record<TensorType, Float64Array>> = {};
  const band = (index: number) => Math.floor(index / (rowElements * bandRows));
  const weigh = (index: number) => importance?.[index % rowElements] ?? 1;
  weights.forEach((weight, index) => {
    power[band(index)] = (power[band(index)] as number) + weigh(index) * weight * weight;
  });
  for (const type of types) {
    const sums = new Float64Array(bands);
    rounded(weights, type).forEach((value, index) => {
      const difference = value - (weights[index] as number);
      sums[band(index)] = (sums[band(index)] as number) + weigh(index) * difference * difference;
    });
    error[type] = sums;
  }
  return { power, error, nonFinite: weights.reduce((count, weight) => count + (Number.isFinite(weight) ? 0 : 1), 0) };
}

function rounded(weights: Float32Array, type: TensorType): Float32Array {
  const { blockBytes, blockElements } = TENSOR_TYPES[type];
  const block = Math.max(blockElements, 32);
  const top = 2 ** (Math.floor((8 * blockBytes) / blockElements) - 1) - 1;
  const result = new Float32Array(weights.length);
  for (let start = 0; start < weights.length; start += block) {
    const piece = weights.subarray(start, start + block);
    const largest = piece.reduce((max, value) => Math.max(max, Math.abs(value)), 0);
    piece.forEach((weight, index) => {
      if (type === "F16" && largest > 65504) result[start + index] = Number.POSITIVE_INFINITY;
      else result[start + index] = largest === 0 ? 0 : (Math.round((weight / largest) * top) / top) * largest;
    });
  }
  return result;
}

function decodeQ8(data: Uint8Array): Float32Array {
  const blocks = data.length / 34;
  const view = new DataView(data.buffer, data.byteOffset, data.length);
  return Float32Array.from({ length: blocks * 32 }, (_, i) => view.getInt8(34 * Math.floor(i / 32) + 2 + (i % 32)));
}
