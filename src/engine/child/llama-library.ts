/**
 * llama.cpp's C ABI as koffi declares it, for exactly the release in package.ts. Loaded in a child process only: an
 * assert in ggml aborts its process. The layout is believed only after the library's own defaults read back plausibly
 * (structs of include/llama.h at v0.5.0).
 */
import koffi from "koffi";
import { TENSOR_TYPES, type TensorType } from "../../ggml/tensor-types.ts";
import type { EnginePackage } from "../package.ts";
import { LLAMA_VERSION } from "../package.ts";

export type Pointer = bigint;

export interface ModelParams {
  n_gpu_layers: number;
  split_mode: number;
  load_mode: number;
  use_extra_bufts: boolean;
  vocab_only: boolean;
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

const POINTER = "void *";

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

export type LlamaLibrary = ReturnType<typeof openLlamaLibrary>;

/** Load the library and check that it is the one these declarations describe. Throws an Error that names the mismatch. */
export function openLlamaLibrary(found: EnginePackage) {
  const base = koffi.load(found.ggmlBase);
  const ggml = koffi.load(found.ggml);
  const llama = koffi.load(found.llama);
  const library = {
    dir: found.dir,
    version: llama.func("const char *llama_version()") as () => string,
    backendInit: llama.func("void llama_backend_init()") as () => void,
    loadBackends: ggml.func("void ggml_backend_load_all_from_path(const char *)") as (dir: string) => void,
    deviceCount: ggml.func("size_t ggml_backend_dev_count()") as () => number,
    device: ggml.func("void *ggml_backend_dev_get(size_t)") as (index: number) => Pointer,
    deviceName: base.func("const char *ggml_backend_dev_name(void *)") as (device: Pointer) => string,
    deviceDescription: base.func("const char *ggml_backend_dev_description(void *)") as (device: Pointer) => string,
    typeName: base.func("const char *ggml_type_name(int32_t)") as (type: number) => string,
    rowSize: base.func("size_t ggml_row_size(int32_t, int64_t)") as (type: number, elements: number) => number,
    quantizeChunk: base.func(
      "size_t ggml_quantize_chunk(int32_t, const float *, void *, int64_t, int64_t, int64_t, const float *)",
    ) as (
      type: number,
      source: Float32Array,
      target: Uint8Array,
      start: number,
      rows: number,
      rowElements: number,
      importance: Float32Array | null,
    ) => number,
    dequantize: dequantizers(base),
    quantizeDefaults: llama.func(
      "llama_model_quantize_params llama_model_quantize_default_params()",
    ) as () => QuantizeParams,
    quantize: llama.func(
      "uint32_t llama_model_quantize(const char *, const char *, const llama_model_quantize_params *)",
    ) as (source: string, output: string, params: QuantizeParams) => number,
    modelDefaults: llama.func("llama_model_params llama_model_default_params()") as () => ModelParams,
    contextDefaults: llama.func("llama_context_params llama_context_default_params()") as () => ContextParams,
    loadModel: llama.func("void *llama_model_load_from_file(const char *, llama_model_params)") as (
      path: string,
      params: ModelParams,
    ) => Pointer | null,
    freeModel: llama.func("void llama_model_free(void *)") as (model: Pointer) => void,
    initContext: llama.func("void *llama_init_from_model(void *, llama_context_params)") as (
      model: Pointer,
      params: ContextParams,
    ) => Pointer | null,
    freeContext: llama.func("void llama_free(void *)") as (context: Pointer) => void,
    vocab: llama.func("void *llama_model_get_vocab(void *)") as (model: Pointer) => Pointer,
    vocabSize: llama.func("int32_t llama_vocab_n_tokens(void *)") as (vocab: Pointer) => number,
    vocabBos: llama.func("int32_t llama_vocab_bos(void *)") as (vocab: Pointer) => number,
    vocabEos: llama.func("int32_t llama_vocab_eos(void *)") as (vocab: Pointer) => number,
    addBos: llama.func("bool llama_vocab_get_add_bos(void *)") as (vocab: Pointer) => boolean,
    addEos: llama.func("bool llama_vocab_get_add_eos(void *)") as (vocab: Pointer) => boolean,
    contextTrain: llama.func("int32_t llama_model_n_ctx_train(void *)") as (model: Pointer) => number,
    hasDecoder: llama.func("bool llama_model_has_decoder(void *)") as (model: Pointer) => boolean,
    tokenize: llama.func(
      "int32_t llama_tokenize(void *, const uint8_t *, int32_t, _Out_ int32_t *, int32_t, bool, bool)",
    ) as (
      vocab: Pointer,
      text: Uint8Array,
      length: number,
      tokens: Int32Array | null,
      max: number,
      addSpecial: boolean,
      parseSpecial: boolean,
    ) => number,
    detokenize: llama.func(
      "int32_t llama_detokenize(void *, const int32_t *, int32_t, _Out_ uint8_t *, int32_t, bool, bool)",
    ) as (
      vocab: Pointer,
      tokens: Int32Array,
      count: number,
      text: Uint8Array | null,
      max: number,
      removeSpecial: boolean,
      unparseSpecial: boolean,
    ) => number,
    memory: llama.func("void *llama_get_memory(void *)") as (context: Pointer) => Pointer,
    clearMemory: llama.func("void llama_memory_clear(void *, bool)") as (memory: Pointer, data: boolean) => void,
    decode: llama.func("int32_t llama_decode(void *, llama_batch)") as (
      context: Pointer,
      batch: Record<string, unknown>,
    ) => number,
    logits: llama.func("void *llama_get_logits(void *)") as (context: Pointer) => Pointer,
  };
  checkAbi(library);
  return library;
}

/** dequantize_row_* of every type, and the two float conversions, as (source, target, elements). */
function dequantizers(base: ReturnType<typeof koffi.load>) {
  const functions = new Map<TensorType, (source: Uint8Array, target: Float32Array, elements: number) => void>();
  for (const type of Object.keys(TENSOR_TYPES) as TensorType[]) {
    const symbol = dequantizeSymbol(type);
    if (symbol !== undefined) {
      functions.set(type, base.func(`void ${symbol}(const void *, _Out_ float *, int64_t)`) as never);
    }
  }
  return functions;
}

function dequantizeSymbol(type: TensorType): string | undefined {
  if (type === "F16") return "ggml_fp16_to_fp32_row";
  if (type === "BF16") return "ggml_bf16_to_fp32_row";
  const { blockElements } = TENSOR_TYPES[type];
  if (blockElements === 1 || type === "Q8_1") return undefined;
  return `dequantize_row_${type.endsWith("_K") ? `${type.slice(0, -1).toLowerCase()}K` : type.toLowerCase()}`;
}

function checkAbi(library: {
  version: () => string;
  typeName: (type: number) => string;
  rowSize: (type: number, elements: number) => number;
  quantizeDefaults: () => QuantizeParams;
  modelDefaults: () => ModelParams;
  contextDefaults: () => ContextParams;
}): void {
  const expect = (what: string, expected: unknown, got: unknown) => {
    if (got !== expected) {
      throw new Error(
        `the llama.cpp library is not the one PRISM was written for: ${what} is ${String(got)}, expected ${String(expected)}`,
      );
    }
  };
  expect("its version", LLAMA_VERSION, normalizeVersion(library.version()));
  for (const type of Object.keys(TENSOR_TYPES) as TensorType[]) {
    const { id, blockBytes, blockElements } = TENSOR_TYPES[type];
    expect(`the name of type ${id}`, type.toLowerCase(), library.typeName(id).toLowerCase());
    expect(`the block size of ${type}`, blockBytes, Number(library.rowSize(id, blockElements)));
  }
  const context = library.contextDefaults();
  expect("context default n_ctx", 512, context.n_ctx);
  expect("context default n_batch", 2048, context.n_batch);
  expect("context default type_k", TENSOR_TYPES.F16.id, context.type_k);
  expect("context default type_v", TENSOR_TYPES.F16.id, context.type_v);
  expect("context default offload_kqv", true, context.offload_kqv);
  const quantize = library.quantizeDefaults();
  expect("quantize default output type (unset)", quantize.output_tensor_type, quantize.token_embedding_type);
  expect("quantize default quantize_output_tensor", true, quantize.quantize_output_tensor);
  expect("quantize default dry_run", false, quantize.dry_run);
  const model = library.modelDefaults();
  expect("model default use_extra_bufts", true, model.use_extra_bufts);
  expect("model default vocab_only", false, model.vocab_only);
}

function normalizeVersion(version: string): string {
  const match = /\d+\.\d+\.\d+/.exec(version);
  return match === null ? version : `v${match[0]}`;
}
