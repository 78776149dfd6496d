/**
 * llama.cpp's C ABI as koffi declares it, for exactly the release in package.ts. Loaded in a child process only: an
 * assert in ggml aborts its process. A version whose declarations differ must not get here: check-abi.ts refuses it.
 */
import koffi from "koffi";
import { TENSOR_TYPES, type TensorType } from "../../ggml/tensor-types.ts";
import type { NativeFunction } from "../../kernels/native-library.ts";
import type { EnginePackage } from "../package.ts";
import { checkAbi } from "./check-abi.ts";
import {
  type ContextParams,
  declareStructs,
  type ModelParams,
  type QuantizeParams,
  type ThreadpoolParams,
} from "./llama-structs.ts";

/** The address of one of the library's objects. */
export type Pointer = bigint;

export type LlamaLibrary = ReturnType<typeof openLlamaLibrary>;

/** Load the library and check that it is the one these declarations describe. Throws an Error that names the mismatch. */
export function openLlamaLibrary(found: EnginePackage) {
  declareStructs();
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
    deviceType: base.func("int32_t ggml_backend_dev_type(void *)") as (device: Pointer) => number,
    deviceMemory: base.func("void ggml_backend_dev_memory(void *, _Out_ size_t *, _Out_ size_t *)") as (
      device: Pointer,
      free: BigUint64Array,
      total: BigUint64Array,
    ) => void,
    deviceOfType: ggml.func("void *ggml_backend_dev_by_type(int32_t)") as (type: number) => Pointer | null,
    registryOf: base.func("void *ggml_backend_dev_backend_reg(void *)") as (device: Pointer) => Pointer,
    backendFunction: base.func("void *ggml_backend_reg_get_proc_address(void *, const char *)") as (
      registry: Pointer,
      name: string,
    ) => Pointer | null,
    threadpoolDefaults: base.func("ggml_threadpool_params ggml_threadpool_params_default(int)") as (
      threads: number,
    ) => ThreadpoolParams,
    newThreadpool: koffi.proto("void *ggml_threadpool_new(ggml_threadpool_params *)"),
    attachThreadpool: llama.func("void llama_attach_threadpool(void *, void *, void *)") as (
      context: Pointer,
      threadpool: Pointer,
      batchThreadpool: Pointer,
    ) => void,
    evalCallback: koffi.proto("bool ggml_backend_sched_eval_callback(void *, bool, void *)"),
    operationName: base.func("const char *ggml_op_name(int32_t)") as (operation: number) => string,
    tensorName: base.func("const char *ggml_get_name(void *)") as (tensor: Pointer) => string,
    tensorBytes: base.func("size_t ggml_nbytes(void *)") as (tensor: Pointer) => number,
    readTensor: base.func("void ggml_backend_tensor_get(void *, void *, size_t, size_t)") as (
      tensor: Pointer,
      target: Float32Array | Int32Array,
      offset: number,
      bytes: number,
    ) => void,
    writeTensor: base.func("void ggml_backend_tensor_set(void *, const void *, size_t, size_t)") as (
      tensor: Pointer,
      source: Uint8Array,
      offset: number,
      bytes: number,
    ) => void,
    typeName: base.func("const char *ggml_type_name(int32_t)") as (type: number) => string,
    rowSize: base.func("size_t ggml_row_size(int32_t, int64_t)") as (type: number, elements: number) => number,
    quantizeChunk: base.func(
      "size_t ggml_quantize_chunk(int32_t, const float *, void *, int64_t, int64_t, int64_t, const float *)",
    ) as ((
      type: number,
      source: Float32Array,
      target: Uint8Array,
      start: number,
      rows: number,
      rowElements: number,
      importance: Float32Array | null,
    ) => number) &
      NativeFunction,
    /** Whether scales and floats of a tensor's data are finite. */
    validateRows: base.func("bool ggml_validate_row_data(int32_t, const void *, size_t)") as (
      type: number,
      data: Uint8Array,
      bytes: number,
    ) => boolean,
    dequantize: dequantizers(base),
    /** The same functions as addresses, for the native kernels. */
    addresses: {
      quantizeChunk: base.symbol("ggml_quantize_chunk") as Pointer,
      dequantize: dequantizerAddresses(base),
    },
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
    /** Tokens that layers with a sliding window look back on; 0: none has one. */
    slidingWindow: llama.func("int32_t llama_model_n_swa(void *)") as (model: Pointer) => number,
    stateBytes: llama.func("size_t llama_state_get_size(void *)") as (context: Pointer) => number,
    saveState: llama.func("bool llama_state_save_file(void *, const char *, const int32_t *, size_t)") as (
      context: Pointer,
      path: string,
      tokens: Int32Array | null,
      count: number,
    ) => boolean,
    loadState: llama.func(
      "bool llama_state_load_file(void *, const char *, _Out_ int32_t *, size_t, _Out_ size_t *)",
    ) as (context: Pointer, path: string, tokens: Int32Array, room: number, count: BigUint64Array) => boolean,
    vocabSize: llama.func("int32_t llama_vocab_n_tokens(void *)") as (vocab: Pointer) => number,
    vocabBos: llama.func("int32_t llama_vocab_bos(void *)") as (vocab: Pointer) => number,
    vocabEos: llama.func("int32_t llama_vocab_eos(void *)") as (vocab: Pointer) => number,
    vocabSep: llama.func("int32_t llama_vocab_sep(void *)") as (vocab: Pointer) => number,
    addBos: llama.func("bool llama_vocab_get_add_bos(void *)") as (vocab: Pointer) => boolean,
    addEos: llama.func("bool llama_vocab_get_add_eos(void *)") as (vocab: Pointer) => boolean,
    addSep: llama.func("bool llama_vocab_get_add_sep(void *)") as (vocab: Pointer) => boolean,
    contextTrain: llama.func("int32_t llama_model_n_ctx_train(void *)") as (model: Pointer) => number,
    hasEncoder: llama.func("bool llama_model_has_encoder(void *)") as (model: Pointer) => boolean,
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
    memory: llama.func("void *llama_get_memory(void *)") as (context: Pointer) => Pointer | null,
    clearMemory: llama.func("void llama_memory_clear(void *, bool)") as (memory: Pointer, data: boolean) => void,
    copySequence: llama.func("void llama_memory_seq_cp(void *, int32_t, int32_t, int32_t, int32_t)") as (
      memory: Pointer,
      source: number,
      target: number,
      first: number,
      end: number,
    ) => void,
    removeSequence: llama.func("bool llama_memory_seq_rm(void *, int32_t, int32_t, int32_t)") as (
      memory: Pointer,
      sequence: number,
      first: number,
      end: number,
    ) => boolean,
    decode: llama.func("int32_t llama_decode(void *, llama_batch)") as (
      context: Pointer,
      batch: Record<string, unknown>,
    ) => number,
    encode: llama.func("int32_t llama_encode(void *, llama_batch)") as (
      context: Pointer,
      batch: Record<string, unknown>,
    ) => number,
    logits: llama.func("void *llama_get_logits(void *)") as (context: Pointer) => Pointer | null,
    pooled: llama.func("void *llama_get_embeddings_seq(void *, int32_t)") as (
      context: Pointer,
      sequence: number,
    ) => Pointer | null,
    poolingType: llama.func("int32_t llama_pooling_type(void *)") as (context: Pointer) => number,
    inputSize: llama.func("int32_t llama_model_n_embd_inp(void *)") as (model: Pointer) => number,
    embeddingSize: llama.func("int32_t llama_model_n_embd_out(void *)") as (model: Pointer) => number,
    classOutputs: llama.func("uint32_t llama_model_n_cls_out(void *)") as (model: Pointer) => number,
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

function dequantizerAddresses(base: ReturnType<typeof koffi.load>): ReadonlyMap<TensorType, Pointer> {
  const addresses = new Map<TensorType, Pointer>();
  for (const type of Object.keys(TENSOR_TYPES) as TensorType[]) {
    const symbol = dequantizeSymbol(type);
    if (symbol !== undefined) addresses.set(type, base.symbol(symbol) as Pointer);
  }
  return addresses;
}

function dequantizeSymbol(type: TensorType): string | undefined {
  if (type === "F16") return "ggml_fp16_to_fp32_row";
  if (type === "BF16") return "ggml_bf16_to_fp32_row";
  const { blockElements } = TENSOR_TYPES[type];
  if (blockElements === 1 || type === "Q8_1") return undefined;
  return `dequantize_row_${type.endsWith("_K") ? `${type.slice(0, -1).toLowerCase()}K` : type.toLowerCase()}`;
}
