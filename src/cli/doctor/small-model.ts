/** A model of one layer with random weights, which the doctor has the engine quantize and decode. The same bytes every time. */
import type { TensorType } from "../../ggml/tensor-types.ts";
import { type NewTensor, writeGguf } from "../../gguf/writer.ts";
import { createRandom } from "../../random.ts";

const WIDTH = 512;
export const VOCABULARY = 2048;

/** Write it, 6 MB. */
export async function writeSmallModel(path: string): Promise<void> {
  const random = createRandom(1);
  // Halves of either sign between 2^-5 and 2^-3.
  const half = () => (random() < 0.5 ? 0x8000 : 0) + 0x2800 + Math.floor(random() * 0x800);
  const matrix = (name: string, columns: number, rows: number): NewTensor => ({
    name: `${name}.weight`,
    shape: [columns, rows],
    type: "F16",
    data: () => new Uint8Array(Uint16Array.from({ length: columns * rows }, half).buffer),
  });
  const norm = (name: string): NewTensor => ({
    name: `${name}.weight`,
    shape: [WIDTH],
    type: "F32" satisfies TensorType,
    data: () => new Uint8Array(new Float32Array(WIDTH).fill(1).buffer),
  });
  const u32 = (key: string, value: number) => ({ key, type: "u32", value }) as const;
  await writeGguf(path, {
    keyValues: [
      { key: "general.architecture", type: "string", value: "llama" },
      u32("llama.block_count", 1),
      u32("llama.context_length", 512),
      u32("llama.embedding_length", WIDTH),
      u32("llama.feed_forward_length", WIDTH),
      u32("llama.attention.head_count", 8),
      { key: "llama.attention.layer_norm_rms_epsilon", type: "f32", value: 1e-5 },
      u32("llama.vocab_size", VOCABULARY),
      // tokens by number alone
      { key: "tokenizer.ggml.model", type: "string", value: "none" },
      u32("general.file_type", 1),
    ],
    tensors: [
      matrix("token_embd", WIDTH, VOCABULARY),
      ...["attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down"].map((name) =>
        matrix(`blk.0.${name}`, WIDTH, WIDTH),
      ),
      ...["blk.0.attn_norm", "blk.0.ffn_norm", "output_norm"].map(norm),
    ],
  });
}
