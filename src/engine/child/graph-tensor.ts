/**
 * `struct ggml_tensor` (ggml/include/ggml.h at v0.5.0) as it lies in memory, for the nodes that llama.cpp shows to its
 * callback. weightName() proves the offsets: the name, which comes last, must be the one ggml gives.
 */
import koffi from "koffi";
import { TENSOR_TYPES } from "../../ggml/tensor-types.ts";
import type { LlamaLibrary } from "./llama-library.ts";

/** The address of one of the library's objects, as in llama-library.ts. */
type Pointer = bigint;

// 64-bit offsets: type, ne, nb, op, src, view_src and name
const TYPE = 0;
const NE = 16;
const NB = 48;
const OP = 80;
const SOURCES = 152;
const MOST_SOURCES = 10;
const VIEWED = 232;
const NAME = 256;
const BYTES = 336;

/** `enum ggml_op`, checked by name (check-abi.ts); none: data that no operation makes. */
export const NONE = 0;
export const MUL_MAT = 29;
export const MUL_MAT_ID = 30;

/** Four dimensions, the innermost first. */
type Dimensions = readonly [number, number, number, number];

export interface GraphTensor {
  readonly address: Pointer;
  readonly op: number;
  readonly isFloat: boolean;
  readonly ne: Dimensions;
  /** Strides, bytes. */
  readonly nb: Dimensions;
  /** Weights, inputs and memory: no operation makes it, and it is no view of another. */
  readonly isLeaf: boolean;
  readonly name: string;
  /** Address of an operand. */
  source(index: number): Pointer;
  /** Addresses of all operands. */
  sources(): Pointer[];
}

export function readGraphTensor(address: Pointer): GraphTensor {
  const view = new DataView(koffi.view(address, BYTES));
  const pointer = (offset: number) => view.getBigUint64(offset, true);
  const source = (index: number) => pointer(SOURCES + 8 * index);
  return {
    address,
    op: view.getInt32(OP, true),
    isFloat: view.getInt32(TYPE, true) === TENSOR_TYPES.F32.id,
    ne: dimensions(view, NE),
    nb: dimensions(view, NB),
    isLeaf: view.getInt32(OP, true) === NONE && pointer(VIEWED) === 0n,
    get name() {
      return nameInStruct(address);
    },
    source,
    sources: () => Array.from({ length: MOST_SOURCES }, (_, index) => source(index)).filter((found) => found !== 0n),
  };
}

/** The name as it lies in the struct. */
function nameInStruct(address: Pointer): string {
  const bytes = new Uint8Array(koffi.view(address, BYTES)).subarray(NAME, NAME + 64);
  return new TextDecoder().decode(bytes.subarray(0, Math.max(0, bytes.indexOf(0))));
}

function dimensions(view: DataView, offset: number): Dimensions {
  const at = (index: number) => Number(view.getBigUint64(offset + 8 * index, true));
  return [at(0), at(1), at(2), at(3)];
}

/** A node's weight by name, without what a device adds: CUDA0#blk.0.attn_k.weight#0 is blk.0.attn_k.weight. */
export function weightName(library: LlamaLibrary, node: GraphTensor): string {
  const name = library.tensorName(node.source(0));
  if (name !== nameInStruct(node.source(0))) {
    throw new Error("the llama.cpp library's tensors are laid out in another way than PRISM was written for");
  }
  return name.includes("#") ? (name.split("#")[1] as string) : name;
}
