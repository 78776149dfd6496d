/** Tiny models whose metadata a test changes: special tokens, vocabulary, architecture. */
import { join } from "node:path";
import { type NewKeyValue, writeGguf } from "../../src/gguf/writer.ts";
import { seedFromName } from "../../src/random.ts";
import { bias, type Family, type FamilyTensor, llamaFamily, weight } from "../fixtures/families.ts";
import { vocabularyKeyValues } from "../fixtures/vocabulary.ts";
import { drawWeights, encodeFloats } from "../fixtures/weights.ts";

export const SMALL_D = 64;
const SIZES = { layers: 2, d: SMALL_D, ff: 128, heads: 2, kvHeads: 1 };
/** GGUF keys of the special tokens. */
export const BOS_KEY = "tokenizer.ggml.bos_token_id";
export const EOS_KEY = "tokenizer.ggml.eos_token_id";

export interface SmallModel {
  /** Default: llama. */
  readonly family?: Family;
  readonly add?: readonly NewKeyValue[];
  readonly remove?: readonly string[];
  readonly seed?: number;
}

/** Write `<name>.gguf` into `dir` and return its path. */
export async function writeSmallModel(dir: string, name: string, model: SmallModel = {}): Promise<string> {
  const { family = llamaFamily(SIZES), add = [], remove = [], seed = 1 } = model;
  const replaced = new Set([...remove, ...add.map(({ key }) => key)]);
  const path = join(dir, `${name}.gguf`);
  await writeGguf(path, {
    keyValues: [
      { key: "general.architecture", type: "string", value: family.arch },
      ...[...family.keyValues, ...vocabularyKeyValues()].filter(({ key }) => !replaced.has(key)),
      ...add,
    ],
    tensors: family.tensors.map((tensor) => {
      const type = tensor.shape.length === 1 ? "F32" : "F16";
      return { name: tensor.name, shape: tensor.shape, type, data: () => encodeFloats(type, fill(tensor, seed)) };
    }),
  });
  return path;
}

function fill(tensor: FamilyTensor, seed: number): Float32Array {
  const values = drawWeights(tensor.shape, 1 / Math.sqrt(tensor.shape[0] ?? 1), seedFromName(tensor.name, seed));
  return tensor.fill === "norm" ? values.map((value) => 1 + value) : values;
}

/** A BERT of one layer: an encoder, which predicts no next token. */
export function bertFamily(): Family {
  const d = SMALL_D;
  const u32 = (key: string, value: number): NewKeyValue => ({ key: `bert.${key}`, type: "u32", value });
  const biased = (name: string, ...shape: number[]) => [weight(name, ...shape), bias(name, shape.at(-1) ?? 0)];
  return {
    arch: "bert",
    keyValues: [
      u32("context_length", 512),
      u32("embedding_length", d),
      u32("block_count", 1),
      u32("feed_forward_length", 2 * d),
      u32("attention.head_count", 2),
      { key: "bert.attention.layer_norm_epsilon", type: "f32", value: 1e-5 },
      { key: "bert.attention.causal", type: "bool", value: false },
      { key: "tokenizer.ggml.token_type_count", type: "u32", value: 2 },
    ],
    tensors: [
      weight("token_embd", d, 257),
      weight("token_types", d, 2),
      weight("position_embd", d, 512),
      ...biased("token_embd_norm", d),
      ...["attn_q", "attn_k", "attn_v", "attn_output"].flatMap((name) => biased(`blk.0.${name}`, d, d)),
      ...biased("blk.0.attn_output_norm", d),
      ...biased("blk.0.ffn_up", d, 2 * d),
      ...biased("blk.0.ffn_down", 2 * d, d),
      ...biased("blk.0.layer_output_norm", d),
    ],
  };
}
