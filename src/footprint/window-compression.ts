/**
 * What DeepSeek V4 keeps: a window of keys, and of all that came before compressed keys, with the sums that the next
 * are compressed from (src/llama-kv-cache-dsv4.cpp of llama.cpp v0.5.0).
 */
import { rowBytes } from "../ggml/tensor-types.ts";
import type { Hyperparameters } from "../loaders/hyperparameters.ts";
import { type ContextSize, padded } from "./context-size.ts";

const SPARSE_RATIO = 4;
const HEAVY_RATIO = 128;
const F32_BYTES = 4;

/** Bytes of the keys of a layer. */
export function compressedKeyBytes(h: Hyperparameters, layer: number, size: ContextSize): number {
  const keys = (cells: number, width: number) => rowBytes(size.kv.k, width) * cells * size.sequences;
  const width = h.call("n_embd_k_gqa", layer);
  const window = keys(h.call("is_swa", layer) ? size.windowCells : size.cells, width);
  const ratio = ratioOf(h, layer);
  if (ratio !== SPARSE_RATIO && ratio !== HEAVY_RATIO) return window;
  const compressed = padded(Math.max(1, Math.ceil(size.cells / ratio)));
  const indexer = ratio === SPARSE_RATIO ? keys(compressed, h.number("indexer_head_size")) : 0;
  return window + keys(compressed, width) + indexer;
}

/** Bytes of the sums of a layer, which no context makes larger. */
export function compressionStateBytes(h: Hyperparameters, layer: number, { sequences }: ContextSize): number {
  if (layer >= h.call("n_layer")) return 0;
  const sums = (rows: number, columns: number) => 2 * rows * columns * F32_BYTES * sequences;
  const head = h.call("n_embd_head_k");
  switch (ratioOf(h, layer)) {
    case SPARSE_RATIO:
      return sums(2 * SPARSE_RATIO, 2 * head) + sums(2 * SPARSE_RATIO, 2 * h.number("indexer_head_size"));
    case HEAVY_RATIO:
      return sums(HEAVY_RATIO, head);
    default:
      return 0;
  }
}

function ratioOf(h: Hyperparameters, layer: number): number {
  return h.list("dsv4_compress_ratios")?.[layer] ?? 0;
}
