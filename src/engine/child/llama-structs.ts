/**
 * The structs of llama.cpp's C ABI that are passed by value or in arrays, as include/llama.h declares them at v0.5.0:
 * every field in order, since koffi computes the layout from them. check-abi.ts proves them at run time.
 */
import koffi from "koffi";

export interface ModelParams {
  n_gpu_layers: number;
  split_mode: number;
  load_mode: number;
  use_extra_bufts: boolean;
  vocab_only: boolean;
  /** Read the header, and only simulate the rest. */
  no_alloc: boolean;
  [field: string]: unknown;
}

export interface ContextParams {
  n_ctx: number;
  n_batch: number;
  n_ubatch: number;
  n_seq_max: number;
  n_threads: number;
  n_threads_batch: number;
  type_k: number;
  type_v: number;
  offload_kqv: boolean;
  /** Give embeddings, pooled as `pooling_type` says, instead of logits. */
  embeddings: boolean;
  pooling_type: number;
  /** All sequences share one memory of n_ctx tokens, so that one's beginning can be another's. */
  kv_unified: boolean;
  /** Keep all tokens of layers with a sliding window. */
  swa_full: boolean;
  [field: string]: unknown;
}

export interface QuantizeParams {
  nthread: number;
  ftype: number;
  output_tensor_type: number;
  token_embedding_type: number;
  allow_requantize: boolean;
  quantize_output_tensor: boolean;
  only_copy: boolean;
  pure: boolean;
  keep_split: boolean;
  dry_run: boolean;
  imatrix: unknown;
  kv_overrides: unknown;
  tt_overrides: unknown;
  [field: string]: unknown;
}

export interface ThreadpoolParams {
  n_threads: number;
  /** How long a thread looks for work before it sleeps, 0 to 100. */
  poll: number;
  strict_cpu: boolean;
  paused: boolean;
  [field: string]: unknown;
}

const POINTER = "void *";

/** `llama_load_mode`: the weights are read into memory, or are the pages of the file, shared with whoever writes it. */
export const LOAD_MODE_NONE = 0;
export const LOAD_MODE_MMAP = 1;

/** Make the structs known to koffi by name. Once per process. */
export function declareStructs(): void {
  koffi.struct("llama_model_params", {
    devices: POINTER,
    tensor_buft_overrides: POINTER,
    n_gpu_layers: "int32_t",
    split_mode: "int32_t",
    load_mode: "int32_t",
    lazy_mode: "int32_t",
    main_gpu: "int32_t",
    tensor_split: POINTER,
    progress_callback: POINTER,
    progress_callback_user_data: POINTER,
    kv_overrides: POINTER,
    vocab_only: "bool",
    check_tensors: "bool",
    use_extra_bufts: "bool",
    no_host: "bool",
    no_alloc: "bool",
    load_mtp: "bool",
  });

  koffi.struct("llama_context_params", {
    n_ctx: "uint32_t",
    n_batch: "uint32_t",
    n_ubatch: "uint32_t",
    n_seq_max: "uint32_t",
    n_rs_seq: "uint32_t",
    n_outputs_max: "uint32_t",
    n_outputs_max_per_seq: "uint32_t",
    n_threads: "int32_t",
    n_threads_batch: "int32_t",
    ctx_type: "int32_t",
    rope_scaling_type: "int32_t",
    pooling_type: "int32_t",
    attention_type: "int32_t",
    flash_attn_type: "int32_t",
    rope_freq_base: "float",
    rope_freq_scale: "float",
    yarn_ext_factor: "float",
    yarn_attn_factor: "float",
    yarn_beta_fast: "float",
    yarn_beta_slow: "float",
    yarn_orig_ctx: "uint32_t",
    defrag_thold: "float",
    cb_eval: POINTER,
    cb_eval_user_data: POINTER,
    type_k: "int32_t",
    type_v: "int32_t",
    abort_callback: POINTER,
    abort_callback_data: POINTER,
    embeddings: "bool",
    offload_kqv: "bool",
    no_perf: "bool",
    op_offload: "bool",
    swa_full: "bool",
    kv_unified: "bool",
    samplers: POINTER,
    n_samplers: "size_t",
    ctx_other: POINTER,
  });

  koffi.struct("llama_batch", {
    n_tokens: "int32_t",
    token: POINTER,
    embd: POINTER,
    pos: POINTER,
    n_seq_id: POINTER,
    seq_id: POINTER,
    logits: POINTER,
  });

  koffi.struct("ggml_threadpool_params", {
    cpumask: koffi.array("bool", 512),
    n_threads: "int32_t",
    prio: "int32_t",
    poll: "uint32_t",
    strict_cpu: "bool",
    paused: "bool",
  });

  koffi.struct("llama_model_tensor_override", { pattern: "const char *", type: "int32_t" });
  koffi.struct("llama_model_imatrix_data", { name: "const char *", data: "const float *", size: "size_t" });
  koffi.struct("llama_model_kv_override", {
    tag: "int32_t",
    key: koffi.array("uint8_t", 128),
    pad: "int32_t",
    value: koffi.array("uint8_t", 128),
  });

  koffi.struct("llama_model_quantize_params", {
    nthread: "int32_t",
    ftype: "int32_t",
    output_tensor_type: "int32_t",
    token_embedding_type: "int32_t",
    allow_requantize: "bool",
    quantize_output_tensor: "bool",
    only_copy: "bool",
    pure: "bool",
    keep_split: "bool",
    dry_run: "bool",
    imatrix: "llama_model_imatrix_data *",
    kv_overrides: "llama_model_kv_override *",
    tt_overrides: "llama_model_tensor_override *",
    prune_layers: POINTER,
    max_buf_size: "size_t",
  });
}
