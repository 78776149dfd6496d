/**
 * Bytes of the states of recurrent layers (Mamba, RWKV, gated delta nets, short convolutions), which no context makes
 * larger: llama_hparams::n_embd_r and n_embd_s, and src/llama-memory-recurrent.cpp of llama.cpp v0.5.0.
 */
import type { Hyperparameters } from "../loaders/hyperparameters.ts";
import type { ContextSize } from "./context-size.ts";
import type { HeaderMemory } from "./header-memory.ts";
import { keepsState } from "./layer-kinds.ts";
import { compressionStateBytes } from "./window-compression.ts";

const F32_BYTES = 4;

/** Bytes of each layer. */
export function stateBytes(header: HeaderMemory, size: ContextSize): number[] {
  const { arch, h } = header;
  return Array.from({ length: h.number("n_layer_all") }, (_, layer) => {
    if (arch === "deepseek4") return compressionStateBytes(h, layer, size);
    if (!keepsState(header, layer)) return 0;
    const history = h.list("is_ple_impl")?.[layer] ? pleHistory(h) : 0;
    return (rolling(h) + recurrent(h) + history) * F32_BYTES * size.sequences;
  });
}

/** n_embd_r: what a convolution or a token shift looks back at. */
function rolling(h: Hyperparameters): number {
  const embedding = h.number("n_embd");
  const kernel = h.number("ssm_d_conv");
  if (h.number("wkv_head_size") > 0) return h.number("token_shift_count") * embedding;
  if (h.number("n_shortconv_l_cache") > 0) return embedding * (h.number("n_shortconv_l_cache") - 1);
  const kda = h.number("n_embd_head_kda");
  if (kda > 0) return 3 * (kernel > 0 ? kernel - 1 : 3) * h.call("n_head") * kda;
  const width = h.number("ssm_d_inner") + 2 * h.number("ssm_n_group") * h.number("ssm_d_state");
  return kernel > 0 ? (kernel - 1) * width : 0;
}

/** n_embd_s: what the recurrence carries on. */
function recurrent(h: Hyperparameters): number {
  if (h.number("wkv_head_size") > 0) return h.number("n_embd") * h.number("wkv_head_size");
  const head = h.number("n_embd_head_kda") || h.number("n_embd_head_la");
  if (head > 0) return head * head * h.call("n_head");
  return h.number("ssm_d_state") * h.number("ssm_d_inner");
}

/** ple_conv_state: the history of hashed n-grams. */
function pleHistory(h: Hyperparameters): number {
  if (h.number("ple_n_heads") === 0 || h.number("ple_conv_kernel") === 0) return 0;
  const rows = (h.number("ple_conv_kernel") - 1) * h.number("ple_ngram_size");
  return rows * h.number("dsv4_hc_mult") * h.number("n_embd");
}
