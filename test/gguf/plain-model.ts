/** A Model as plain data: what openModel would give for a file with these keys and tensors. */
import { elementCount, type TensorType, tensorBytes } from "../../src/ggml/tensor-types.ts";
import type { MetadataValue, Model, TensorInfo } from "../../src/gguf/model.ts";

export interface PlainModel {
  readonly arch?: string;
  readonly metadata?: Readonly<Record<string, MetadataValue>>;
  readonly alignment?: number;
  readonly tensors?: readonly { name: string; shape?: readonly number[]; type?: TensorType }[];
}

export function plainModel({ arch = "llama", metadata = {}, alignment = 32, tensors = [] }: PlainModel): Model {
  let offset = 4096;
  const infos = tensors.map(({ name, shape = [256, 4], type = "F16" }): TensorInfo => {
    const bytes = tensorBytes(type, shape);
    const info = { name, shape, elements: elementCount(shape), type, bytes, shard: 0, offset };
    offset += Math.ceil(bytes / alignment) * alignment;
    return info;
  });
  return {
    path: "plain.gguf",
    shards: [{ path: "plain.gguf", fileBytes: offset }],
    ggufVersion: 3,
    arch,
    metadata: new Map(Object.entries(metadata)),
    keyValues: [],
    alignment,
    tensors: infos,
    headerHash: "0".repeat(64),
  };
}
