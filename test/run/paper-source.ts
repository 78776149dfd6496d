/** A model whose tensors fit every type and are too small to take time. */
import type { NewTensor } from "../../src/gguf/writer.ts";
import { writeGguf } from "../../src/gguf/writer.ts";
import { createRandom, seedFromName } from "../../src/random.ts";

const WIDTH = 256;
const ROWS = 32;
const LAYERS = 2;
const PARTS = ["attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down"];

/** Write the f16 model; another `seed` gives other weights under the same header. */
export async function writePaperSource(
  path: string,
  seed = 1,
  tokenizer = true,
  arch = "llama",
  pooling?: number,
): Promise<string> {
  const names = ["token_embd.weight", "output.weight"];
  for (let layer = 0; layer < LAYERS; layer++) names.push(...PARTS.map((part) => `blk.${layer}.${part}.weight`));
  const tensors = names.map((name): NewTensor => {
    const random = createRandom(seedFromName(name, seed));
    // Halves between 1 and 2, as bits: what they are does not matter.
    const data = Uint16Array.from({ length: WIDTH * ROWS }, () => 0x3c00 + Math.floor(random() * 0x400));
    return { name, shape: [WIDTH, ROWS], type: "F16", data: new Uint8Array(data.buffer) };
  });
  await writeGguf(path, {
    keyValues: [
      { key: "general.architecture", type: "string", value: arch },
      { key: `${arch}.block_count`, type: "u32", value: LAYERS },
      { key: `${arch}.context_length`, type: "u32", value: 64 },
      { key: `${arch}.attention.head_count`, type: "u32", value: 4 },
      ...(pooling === undefined ? [] : [{ key: `${arch}.pooling_type`, type: "u32", value: pooling } as const]),
      ...(tokenizer ? [{ key: "tokenizer.ggml.model", type: "string", value: "on paper" } as const] : []),
      { key: "general.file_type", type: "u32", value: 1 },
      { key: "general.quantization_version", type: "u32", value: 2 },
    ],
    tensors,
  });
  return path;
}
