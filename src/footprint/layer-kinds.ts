/** Which layers keep keys and values and which a state: the filters of llama_model::create_memory (src/llama-model.cpp). */
import { isRecurrent } from "../loaders/context-rules.ts";
import type { HeaderMemory } from "./header-memory.ts";

/** Encoders and diffusion models see all of a text at once; a draft reads what its model keeps. */
export const KEEPS_NOTHING: ReadonlySet<string> = new Set([
  ...["bert", "jina-bert-v2", "jina-bert-v3", "nomic-bert", "nomic-bert-moe", "neo-bert", "eurobert", "modern-bert"],
  ...["wavtokenizer-dec", "gemma-embedding", "dream", "llada", "llada-moe", "rnd1", "gemma4-assistant"],
]);

/** llm_arch_is_hybrid of src/llama-arch.cpp, but for deepseek4, whose memory is its own. */
const HYBRID: ReadonlySet<string> = new Set([
  ...["jamba", "falcon-h1", "plamo2", "granitehybrid", "lfm2", "lfm2moe", "nemotron_h", "nemotron_h_moe"],
  ...["qwen3next", "kimi-linear", "bailingmoe3", "kimi-k3", "qwen35", "qwen35moe", "qwen4exp", "minimax-01"],
]);

/** Whether a layer keeps keys and values. */
export function attends({ arch, h }: HeaderMemory, layer: number): boolean {
  if (KEEPS_NOTHING.has(arch) || isRecurrent(arch)) return false;
  if (h.call("has_kv", layer) === 0) return false;
  if (HYBRID.has(arch)) return attendsInHybrid(arch, h, layer);
  const [trunk, nextn] = [h.call("n_layer"), h.number("n_layer_nextn")];
  // hy_v4 allocates for every layer; a router layer, and a model that is all MTP layers, attend
  if (nextn === 0 || trunk === 0 || h.number("router_layer") >= 0 || arch === "hy_v4" || arch === "minimax-m3")
    return true;
  return layer < trunk;
}

/** Whether a layer keeps a state of a fixed size. */
export function keepsState({ arch, h }: HeaderMemory, layer: number): boolean {
  if (layer >= h.call("n_layer")) return false;
  if (isRecurrent(arch) || arch === "falcon-h1") return true;
  if (!HYBRID.has(arch) || h.call("is_recr", layer) === 0) return false;
  return !arch.startsWith("nemotron_h") || h.call("n_ff", layer) === 0;
}

const TRUNK_ONLY: ReadonlySet<string> = new Set(["qwen3next", "qwen35", "qwen35moe", "qwen4exp", "minimax-01"]);

function attendsInHybrid(arch: string, h: HeaderMemory["h"], layer: number): boolean {
  if (arch === "falcon-h1") return true;
  if (h.call("is_recr", layer) !== 0) return false;
  if (arch.startsWith("nemotron_h")) return h.call("n_ff", layer) === 0;
  return !TRUNK_ONLY.has(arch) || layer < h.call("n_layer");
}
