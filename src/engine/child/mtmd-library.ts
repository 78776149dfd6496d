/**
 * The C ABI of libmtmd as koffi declares it, of the release in package.ts (tools/mtmd/mtmd.h, mtmd-helper.h). Its defaults
 * prove that the layout is the one declared here.
 */
import koffi from "koffi";
import type { Pointer } from "./llama-library.ts";

interface VisionParams {
  use_gpu: boolean;
  print_timings: boolean;
  n_threads: number;
  warmup: boolean;
  image_min_tokens: number;
  image_max_tokens: number;
  batch_max_tokens: number;
  [field: string]: unknown;
}

export type MtmdLibrary = ReturnType<typeof openMtmdLibrary>;

const POINTER = "void *";
let declared = false;

/** Load it, after llama.cpp itself, with which it is linked. Throws an Error where it can't be loaded, or is another. */
export function openMtmdLibrary(path: string) {
  declareStructs();
  const mtmd = koffi.load(path);
  const library = {
    defaults: mtmd.func("mtmd_context_params mtmd_context_params_default()") as () => VisionParams,
    init: mtmd.func("void *mtmd_init_from_file(const char *, void *, mtmd_context_params)") as (
      projector: string,
      model: Pointer,
      params: VisionParams,
    ) => Pointer | null,
    free: mtmd.func("void mtmd_free(void *)") as (vision: Pointer) => void,
    supportsVision: mtmd.func("bool mtmd_support_vision(void *)") as (vision: Pointer) => boolean,
    imageDefaults: mtmd.func("mtmd_helper_init_opt mtmd_helper_init_opt_default()") as () => object,
    readImage: mtmd.func(
      "mtmd_helper_bitmap_wrapper mtmd_helper_bitmap_init_from_buf(void *, const uint8_t *, size_t, bool, mtmd_helper_init_opt)",
    ) as (
      vision: Pointer,
      bytes: Uint8Array,
      length: number,
      placeholder: boolean,
      options: object,
    ) => { readonly bitmap: Pointer | null },
    freeImage: mtmd.func("void mtmd_bitmap_free(void *)") as (bitmap: Pointer) => void,
    newChunks: mtmd.func("void *mtmd_input_chunks_init()") as () => Pointer,
    freeChunks: mtmd.func("void mtmd_input_chunks_free(void *)") as (chunks: Pointer) => void,
    /** `parts`: addresses of mtmd_input_part. */
    tokenize: mtmd.func("int32_t mtmd_tokenize_from_parts(void *, void *, void *, size_t, bool)") as (
      vision: Pointer,
      chunks: Pointer,
      parts: BigUint64Array,
      count: number,
      addSpecial: boolean,
    ) => number,
    countTokens: mtmd.func("size_t mtmd_helper_get_n_tokens(void *)") as (chunks: Pointer) => number,
    decode: mtmd.func(
      "int32_t mtmd_helper_eval_chunks(void *, void *, void *, int32_t, int32_t, int32_t, bool, _Out_ int32_t *)",
    ) as (
      vision: Pointer,
      context: Pointer,
      chunks: Pointer,
      past: number,
      sequence: number,
      batchTokens: number,
      logitsLast: boolean,
      newPast: Int32Array,
    ) => number,
  };
  const { use_gpu, print_timings, n_threads, warmup, image_min_tokens, image_max_tokens, batch_max_tokens } =
    library.defaults();
  const found = [use_gpu, print_timings, n_threads, warmup, image_min_tokens, image_max_tokens, batch_max_tokens];
  if (found.join() !== "true,true,4,true,-1,-1,1024") {
    throw new Error(`${path} has another layout than libmtmd's; build it anew (prism doctor --build-mtmd)`);
  }
  return library;
}

function declareStructs(): void {
  if (declared) return;
  declared = true;
  koffi.struct("mtmd_context_params", {
    use_gpu: "bool",
    device: POINTER,
    print_timings: "bool",
    n_threads: "int32_t",
    image_marker: POINTER,
    media_marker: POINTER,
    flash_attn_type: "int32_t",
    warmup: "bool",
    image_min_tokens: "int32_t",
    image_max_tokens: "int32_t",
    cb_eval: POINTER,
    cb_eval_user_data: POINTER,
    batch_max_tokens: "int32_t",
    progress_callback: POINTER,
    progress_callback_user_data: POINTER,
  });
  koffi.struct("mtmd_helper_init_opt", {
    fps_target: "float",
    ffmpeg_bin_dir: POINTER,
    timestamp_interval_ms: "int64_t",
  });
  koffi.struct("mtmd_helper_bitmap_wrapper", { bitmap: POINTER, video_ctx: POINTER });
}
