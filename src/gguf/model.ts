/**
 * A model as its GGUF header describes it, over all shards. Plain data: nothing here holds a file open.
 * Everything was checked when it was read (see header.ts); later stages trust it.
 */
import type { FileChange } from "../bytes/file-revision.ts";
import type { ModelFacts } from "../ggml/model-facts.ts";
import type { TensorType } from "../ggml/tensor-types.ts";
import type { TokenFaults } from "./token-list.ts";
import type { KeyValueType } from "./value-types.ts";

export type MetadataValue = string | number | bigint | boolean | readonly MetadataValue[];

/** How a key's value is stored. llama.cpp asks for types exactly: an i32 is no u32. */
export interface KeyType {
  readonly type: KeyValueType | "array";
  /** Of an array: the type of its elements, and how many there are. */
  readonly element?: KeyValueType;
  readonly length?: number;
}

export interface TensorInfo {
  readonly name: string;
  /** ne, innermost dimension first, 1 to 4 of them, as the header has them. */
  readonly shape: readonly number[];
  readonly elements: number;
  readonly type: TensorType;
  /** Bytes of the data, without padding. */
  readonly bytes: number;
  /** Index into `Model.shards`. */
  readonly shard: number;
  /** First byte of the data in its shard file. */
  readonly offset: number;
}

/** Rows of a tensor over all its matrices, [from, to). */
export interface RowRange {
  readonly from: number;
  readonly to: number;
}

/** One key-value pair of the first shard: where its raw bytes lie, so that they can be copied untouched. */
export interface KeyValueRange {
  readonly key: string;
  /** gguf_type of the value (8 = string, 9 = array, …). */
  readonly valueType: number;
  /** First byte of the entry (its key's length field) in the first shard. */
  readonly start: number;
  /** One past its last byte. */
  readonly end: number;
  /**
   * Bytes from the first NUL on in each of its strings, which llama.cpp loses when it copies the entry to another file.
   * Absent: none.
   */
  readonly nulTailBytes?: number;
  /** Of the list of tokens. Absent: none. */
  readonly tokenFaults?: TokenFaults;
}

export interface Shard {
  readonly path: string;
  readonly fileBytes: number;
}

export interface Model {
  /** As the user named it; of a web address, what is no secret. */
  readonly path: string;
  readonly shards: readonly Shard[];
  readonly ggufVersion: number;
  /** `general.architecture`; "" where the file has none (an imatrix, say). */
  readonly arch: string;
  /** `general.name`, if any. */
  readonly name?: string;
  readonly metadata: ReadonlyMap<string, MetadataValue>;
  /** Of each key of `metadata`. */
  readonly keyTypes: ReadonlyMap<string, KeyType>;
  /** In file order, first shard only (the others hold only split.*). */
  readonly keyValues: readonly KeyValueRange[];
  readonly alignment: number;
  readonly tensors: readonly TensorInfo[];
  /** SHA-256 (hex) over the header bytes of all shards in order. */
  readonly headerHash: string;
}

/** A model whose data can be read, from local files or by HTTP ranges. */
export interface ModelFile {
  readonly model: Model;
  /** Differs between contents of these files, as sizes and times or the server's ETags tell; absent where nothing tells. */
  readonly revision?: string | undefined;
  /** `bytes` bytes of the tensor's data, from byte `start` of it. Throws FormatError on a short read. */
  read(tensor: TensorInfo, start: number, bytes: number): Promise<Uint8Array>;
  close(): Promise<void>;
}

/** A model opened once and handed on as a value: what its header says, and its data. */
export interface OpenModel extends ModelFile {
  readonly path: string;
  readonly facts: ModelFacts;
  /** Bytes of all its files. */
  readonly fileBytes: number;
  /** Bits per weight, as llama.cpp counts them. */
  readonly bpw: number;
  /** What became of its files since they were opened: the first change; undefined where there is none. */
  change(): Promise<FileChange | undefined>;
  /** Take the files as they are now for those that were opened: their content is known to be the same (identity.ts). */
  settle(): Promise<void>;
}
