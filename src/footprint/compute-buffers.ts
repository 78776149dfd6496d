/**
 * An estimate of the buffers in which llama.cpp v0.5.0 keeps what it computes of a batch: what is alive at once where
 * the graph is widest, in floats a token, and the mask of attention. docs/memory.md has its error.
 */
import type { Hyperparameters } from "../loaders/hyperparameters.ts";
import type { ContextSize } from "./context-size.ts";
import type { HeaderMemory } from "./header-memory.ts";
import { attends, keepsState } from "./layer-kinds.ts";

const F32_BYTES = 4;
const F16_BYTES = 2;

/** The residual, its norm, and the result that is added. */
const RESIDUALS = 3;

/** Widths of a recurrent layer that are alive at once, as llama.cpp's own numbers have it. */
const SCAN = 5.5;
const DELTA_NET = 2;
const TOKEN_SHIFT = 16.5;

export function computeBytes(header: HeaderMemory, size: ContextSize): number {
  const { h, vocab } = header;
  const layers = Array.from({ length: h.number("n_layer_all") }, (_, layer) => layer);
  const widest = Math.max(0, ...layers.map((layer) => layerFloats(header, layer)));
  const residual = RESIDUALS * h.number("n_embd");
  const masks = maskCells(header, layers, size) * size.ubatch * F16_BYTES;
  const logits = vocab * size.sequences * F32_BYTES;
  return (residual + widest) * size.ubatch * F32_BYTES + masks + logits;
}

function layerFloats(header: HeaderMemory, layer: number): number {
  return Math.max(attentionFloats(header, layer), feedForwardFloats(header.h, layer), stateFloats(header, layer));
}

/** Queries, and with MLA what they become in the space of the compressed keys. */
function attentionFloats(header: HeaderMemory, layer: number): number {
  if (!attends(header, layer)) return 0;
  const { h } = header;
  const heads = h.call("n_head", layer);
  const key = h.call("n_embd_head_k", layer);
  const value = h.call("n_embd_head_v", layer);
  if (h.call("is_mla")) return heads * (key + value + 2 * h.call("n_embd_head_k_mla"));
  return 2 * heads * key + h.call("n_embd_k_gqa", layer) + h.call("n_embd_v_gqa", layer);
}

/** Gate, up and their product; of experts what each gives, before and after it is weighed. */
function feedForwardFloats(h: Hyperparameters, layer: number): number {
  const dense = 3 * h.call("n_ff", layer) + h.call("n_head", layer) * h.call("n_embd_head_k", layer);
  const used = h.call("n_expert_used", layer);
  const experts = used * (2 * h.number("n_embd") + h.call("n_ff_exp", layer));
  return Math.max(dense, h.number("n_expert") > 0 ? experts : 0);
}

/**
 * What goes into a convolution and comes out of it, and the scan over it, of which delta nets reuse more; RWKV's mixes of
 * a token and the one before.
 */
function stateFloats(header: HeaderMemory, layer: number): number {
  if (!keepsState(header, layer)) return 0;
  const { arch, h } = header;
  if (h.number("wkv_head_size") > 0) return TOKEN_SHIFT * h.number("n_embd");
  const width = h.number("ssm_d_inner") + 2 * h.number("ssm_n_group") * h.number("ssm_d_state");
  return (arch.startsWith("mamba") ? SCAN : DELTA_NET) * width;
}

/** One mask for all layers, and one for those with a sliding window. */
function maskCells(header: HeaderMemory, layers: readonly number[], { cells, windowCells, sequences }: ContextSize) {
  const attending = layers.filter((layer) => attends(header, layer));
  const windowed = attending.filter((layer) => header.h.call("is_swa", layer));
  const whole = attending.length > windowed.length ? cells * sequences : 0;
  return whole / sequences + (windowed.length > 0 ? windowCells : 0);
}
