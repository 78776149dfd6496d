/**
 * Bytes of keys and values, layer by layer, as llama.cpp v0.5.0 allocates them: llama_model::create_memory of
 * src/llama-model.cpp and the constructors of src/llama-kv-cache*.cpp. test/footprint compares them with what it logs.
 */
import { rowBytes } from "../ggml/tensor-types.ts";
import { isRecurrent } from "../loaders/context-rules.ts";
import type { Hyperparameters } from "../loaders/hyperparameters.ts";
import type { ContextSize } from "./context-size.ts";
import type { HeaderMemory } from "./header-memory.ts";
import { attends, KEEPS_NOTHING } from "./layer-kinds.ts";
import { compressedKeyBytes } from "./window-compression.ts";

/** Widths of what one layer keeps of a token. */
interface Widths {
  readonly k: number;
  /** 0 where values are computed from the keys (MLA). */
  readonly v: number;
}

/** Bytes of each layer; empty where the architecture keeps none. */
export function kvCacheBytes(header: HeaderMemory, size: ContextSize): number[] {
  const { arch, h } = header;
  if (KEEPS_NOTHING.has(arch) || isRecurrent(arch)) return [];
  return Array.from({ length: h.number("n_layer_all") }, (_, layer) => {
    if (arch === "deepseek4") return compressedKeyBytes(h, layer, size);
    if (!attends(header, layer)) return 0;
    const cells = h.call("is_swa", layer) ? size.windowCells : size.cells;
    const indexer = hasIndexer(header, layer) ? bytesOf(indexerWidths(header, layer), size.cells, size) : 0;
    return bytesOf(widths(h, layer), cells, size) + indexer;
  });
}

function widths(h: Hyperparameters, layer: number): Widths {
  return {
    k: h.call("n_embd_k_gqa", layer),
    v: h.call("is_mla") ? 0 : h.call("n_embd_v_gqa", layer),
  };
}

/** Bytes of so many cells for every sequence. */
export function bytesOf({ k, v }: Widths, cells: number, { sequences, kv }: ContextSize): number {
  return (rowBytes(kv.k, k) + rowBytes(kv.v, v)) * cells * sequences;
}

/** Sparse attention keeps keys by which it finds what to look at. */
function hasIndexer({ arch, h }: HeaderMemory, layer: number): boolean {
  const isTrunk = layer < h.call("n_layer");
  switch (arch) {
    case "minimax-m3":
      return layer >= h.number("n_layer_dense_lead");
    case "deepseek32":
      return isTrunk;
    case "glm-dsa":
    case "dots3note":
      return isTrunk && h.call("is_indexer_full", layer) !== 0;
    case "hy_v4":
      return h.number("indexer_top_k") > 0 && h.call("is_indexer_full", layer) !== 0;
    case "qwen4exp":
      return h.number("indexer_head_size") > 0;
    default:
      return false;
  }
}

/** One head of keys; of minimax-m3 the cache has values too, though nothing reads them. */
function indexerWidths({ arch, h }: HeaderMemory, layer: number): Widths {
  const k = h.number("indexer_head_size");
  const keysOnly = arch === "qwen4exp" || h.call("is_mla") !== 0;
  return { k, v: keysOnly ? 0 : h.call("n_embd_head_v", layer) };
}

/** Why llama.cpp makes no context with these types of cache; undefined where it does (llama_init_from_model). */
export function kvTypesRefusal({ arch, h }: HeaderMemory, { kv }: Pick<ContextSize, "kv">): string | undefined {
  if (KEEPS_NOTHING.has(arch) || isRecurrent(arch)) return undefined;
  if (kv.k !== kv.v && (h.call("is_mla") || arch === "deepseek4")) {
    return `${arch} keeps keys and values as one: both types must be the same`;
  }
  if (arch === "grok" && kv.v !== "F16" && kv.v !== "F32" && kv.v !== "BF16") {
    return "values of grok can't be quantized: llama.cpp has no flash attention for it";
  }
  for (let layer = 0; layer < h.call("n_layer"); layer++) {
    for (const [what, type, width] of [
      ["keys", kv.k, h.call("n_embd_head_k", layer)],
      ["values", kv.v, h.call("n_embd_head_v", layer)],
    ] as const) {
      if (!fits(type, width)) return `a head's ${what} are ${width} wide, which blocks of ${type} do not divide`;
    }
  }
  return undefined;
}

function fits(type: ContextSize["kv"]["k"], width: number): boolean {
  try {
    rowBytes(type, width);
    return true;
  } catch {
    return false;
  }
}
