/** What llama.cpp v0.5.0 asserts of any architecture when it makes a context of a loaded model and decodes. */
import type { Hyperparameters } from "./hyperparameters.ts";

/** Why there is no context; `readsWindows`: the header says which layers have a sliding window. */
export function contextRefusal(
  arch: string,
  h: Hyperparameters,
  { readsWindows }: { readonly readsWindows: boolean },
): string | undefined {
  const layers = Array.from({ length: h.number("n_layer_all") }, (_, layer) => layer);
  if (readsWindows && !WITHOUT_MEMORY.has(arch) && !layers.some((layer) => h.call("is_swa", layer))) {
    return "attention.sliding_window_pattern leaves no layer a sliding window";
  }
  if (!isRecurrent(arch) && arch !== "wavtokenizer-dec" && !layers.some((layer) => h.call("n_head", layer))) {
    return "attention.head_count must be over 0";
  }
  if (!WITHOUT_ROPE.has(arch) && layers.some((layer) => h.call("n_rot", layer) % 2 !== 0)) {
    return "rope.dimension_count must be even";
  }
  return undefined;
}

/** llm_arch_is_recurrent of src/llama-arch.cpp. */
export function isRecurrent(arch: string): boolean {
  return RECURRENT.has(arch);
}

const RECURRENT: ReadonlySet<string> = new Set(["mamba", "mamba2", "rwkv6", "rwkv6qwen2", "rwkv7", "arwkv7"]);

/** Encoders, which keep no keys and values, and a draft that uses those of its model (llama_model_base::create_memory). */
const WITHOUT_MEMORY: ReadonlySet<string> = new Set(["modern-bert", "gemma-embedding", "gemma4-assistant"]);

/** LLAMA_ROPE_TYPE_NONE of src/llama-model.cpp. */
const WITHOUT_ROPE: ReadonlySet<string> = new Set([
  ...RECURRENT,
  ...["gpt2", "mpt", "refact", "bloom", "jamba", "jina-bert-v2", "t5", "t5encoder", "jais", "wavtokenizer-dec"],
  ...["nemotron_h", "nemotron_h_moe", "kimi-linear", "kimi-k3"],
]);
