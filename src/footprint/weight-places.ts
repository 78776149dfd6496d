/** Where llama.cpp v0.5.0 puts weights when all layers are on a GPU (load_tensors and create_tensor of src/). */
import type { HeaderMemory } from "./header-memory.ts";

export interface WeightTensor {
  readonly name: string;
  readonly bytes: number;
}

export interface WeightBytes {
  readonly gpu: number;
  /** In the memory of the machine. */
  readonly host: number;
}

/** The input layer, from which rows are taken on the processor (LLM_TENSOR_LAYER_INPUT of src/llama-arch.cpp). */
const INPUT = /^(?:token_embd|position_embd|token_types|per_layer_token_embd)\.weight$/;

/** Experts that a router chooses from: what is left on the processor where a GPU has no room (-ncmoe of llama.cpp). */
export const ROUTED_EXPERTS = /^blk\.\d+\.ffn_(?:up|down|gate|gate_up)_(?:ch|)exps\./;

/** Models without a head. */
const HEADLESS: ReadonlySet<string> = new Set([
  ...["bert", "jina-bert-v2", "jina-bert-v3", "nomic-bert", "nomic-bert-moe", "neo-bert", "eurobert", "modern-bert"],
  ...["gemma-embedding", "t5encoder", "wavtokenizer-dec"],
]);

export interface WeightPlace {
  readonly gpu: boolean;
  readonly host: boolean;
}

/** Where each of these tensors goes. */
export function weightPlaces(
  { arch, unused }: Pick<HeaderMemory, "arch" | "unused">,
  names: readonly string[],
): Map<string, WeightPlace> {
  const isTied = !HEADLESS.has(arch) && !names.includes("output.weight");
  return new Map(
    names.map((name): [string, WeightPlace] => {
      if (unused.has(name)) return [name, { gpu: false, host: false }];
      // a tied head is a second copy of the embeddings
      if (INPUT.test(name)) return [name, { gpu: isTied && name === "token_embd.weight", host: true }];
      return [name, { gpu: true, host: false }];
    }),
  );
}

/** Buffers align each tensor to this at most (CUDA's 128 and Vulkan's 256). */
const ALIGNMENT = 256;

/** Bytes of a tensor in a buffer. */
export function inBuffer(bytes: number): number {
  return Math.ceil(bytes / ALIGNMENT) * ALIGNMENT;
}

/** Split the tensors of a file. */
export function weightBytes(
  header: Pick<HeaderMemory, "arch" | "unused">,
  tensors: readonly WeightTensor[],
): WeightBytes {
  const names = tensors.map(({ name }) => name);
  const places = weightPlaces(header, names);
  let gpu = 0;
  let host = 0;
  for (const { name, bytes } of tensors) {
    const place = places.get(name);
    if (place?.gpu) gpu += inBuffer(bytes);
    if (place?.host) host += inBuffer(bytes);
  }
  return { gpu, host };
}
