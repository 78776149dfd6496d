/** A Model as plain data: what openModel would give for a file with these keys and tensors. */
import { elementCount, type TensorType, tensorBytes } from "../../src/ggml/tensor-types.ts";
import type { KeyType, MetadataValue, Model, TensorInfo } from "../../src/gguf/model.ts";
import type { KeyValueType } from "../../src/gguf/value-types.ts";

export interface PlainModel {
  readonly arch?: string;
  readonly metadata?: Readonly<Record<string, MetadataValue>>;
  /** Of keys that are not of the types a converter gives them (see `usualType`). */
  readonly keyTypes?: Readonly<Record<string, KeyType>>;
  readonly alignment?: number;
  readonly tensors?: readonly { name: string; shape?: readonly number[]; type?: TensorType }[];
}

export function plainModel({
  arch = "llama",
  metadata = {},
  keyTypes = {},
  alignment = 32,
  tensors = [],
}: PlainModel): Model {
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
    keyTypes: new Map(Object.entries(metadata).map(([key, value]) => [key, keyTypes[key] ?? usualType(value)])),
    keyValues: [],
    alignment,
    tensors: infos,
    headerHash: "0".repeat(64),
  };
}

function usualType(value: MetadataValue): KeyType {
  if (!Array.isArray(value)) return { type: usualScalar(value, "u32") };
  return { type: "array", element: usualScalar(value[0] ?? "", "i32"), length: value.length };
}

function usualScalar(value: MetadataValue, integer: "u32" | "i32"): KeyValueType {
  if (typeof value === "string") return "string";
  if (typeof value === "boolean") return "bool";
  return Number.isInteger(Number(value)) ? integer : "f32";
}
