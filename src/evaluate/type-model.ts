/**
 * A model of one type that tells how fast the type is: matrices as wide as those of real models, more bytes than caches hold,
 * and random codes. No quantizer is asked: the time a kernel takes does not depend on what the codes say.
 */
import { isFloatType, type TensorType, tensorBytes } from "../ggml/tensor-types.ts";
import { type NewTensor, writeGguf } from "../gguf/writer.ts";
import { createRandom } from "../random.ts";

export interface TypeModelSize {
  readonly width: number;
  readonly feedForward: number;
  readonly layers: number;
}

/** Some 100 million weights: 30 MB in 2 bits, which take longer to read than to multiply with. */
export const PROCESSOR_MODEL: TypeModelSize = { width: 2048, feedForward: 5632, layers: 2 };
/** Some 400 million: a GPU takes as long to begin with a small matrix as to multiply with it. */
export const GPU_MODEL: TypeModelSize = { width: 4096, feedForward: 11_008, layers: 2 };

const VOCABULARY = 256;
const HEAD = 128;
const CONTEXT = 1024;
/** Bytes that are drawn; they are repeated, out of step with the rows. */
const DRAWN_BYTES = 1_000_003;

/** Weights of the matrices that have the type. */
export function typedWeights({ width, feedForward, layers }: TypeModelSize): number {
  return layers * width * (4 * width + 3 * feedForward);
}

export async function writeTypeModel(path: string, type: TensorType, size: TypeModelSize): Promise<void> {
  const { width, feedForward, layers } = size;
  const drawn = drawBytes();
  const matrix = (name: string, columns: number, rows: number, own: TensorType = type): NewTensor => ({
    name: `${name}.weight`,
    shape: [columns, rows],
    type: own,
    data: () => repeated(drawn, tensorBytes(own, [columns, rows])),
  });
  const norm = (name: string): NewTensor => ({
    name: `${name}.weight`,
    shape: [width],
    type: "F32",
    data: () => new Uint8Array(new Float32Array(width).fill(1).buffer),
  });
  const u32 = (key: string, value: number) => ({ key, type: "u32", value }) as const;
  const layer = (index: number): NewTensor[] => [
    norm(`blk.${index}.attn_norm`),
    ...["attn_q", "attn_k", "attn_v", "attn_output"].map((name) => matrix(`blk.${index}.${name}`, width, width)),
    norm(`blk.${index}.ffn_norm`),
    ...["ffn_gate", "ffn_up"].map((name) => matrix(`blk.${index}.${name}`, width, feedForward)),
    matrix(`blk.${index}.ffn_down`, feedForward, width),
  ];
  await writeGguf(path, {
    keyValues: [
      { key: "general.architecture", type: "string", value: "llama" },
      u32("llama.block_count", layers),
      u32("llama.context_length", CONTEXT),
      u32("llama.embedding_length", width),
      u32("llama.feed_forward_length", feedForward),
      u32("llama.attention.head_count", width / HEAD),
      { key: "llama.attention.layer_norm_rms_epsilon", type: "f32", value: 1e-5 },
      u32("llama.vocab_size", VOCABULARY),
      // tokens by number alone
      { key: "tokenizer.ggml.model", type: "string", value: "none" },
    ],
    tensors: [
      // not timed with the type: few rows of it are read
      matrix("token_embd", width, VOCABULARY, isFloatType(type) ? type : "F16"),
      ...Array.from({ length: layers }, (_, index) => layer(index)).flat(),
      norm("output_norm"),
    ],
  });
}

/** Bytes of which no two, read as a half or as the upper part of a float, are infinite, not a number or large. */
function drawBytes(): Uint8Array {
  const random = createRandom(1);
  // the bit that large exponents have is 0
  return Uint8Array.from({ length: DRAWN_BYTES }, () => Math.floor(random() * 256) & 0xbf);
}

function repeated(drawn: Uint8Array, bytes: number): Uint8Array {
  const data = new Uint8Array(bytes);
  for (let offset = 0; offset < bytes; offset += drawn.length) {
    data.set(drawn.subarray(0, Math.min(drawn.length, bytes - offset)), offset);
  }
  return data;
}
