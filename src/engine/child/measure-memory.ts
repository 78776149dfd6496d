/**
 * What llama.cpp says a model takes of memory: it is loaded and contexts are made of it without allocating its weights
 * or their caches (no_alloc, as common/fit.cpp has it). The sizes stand in the log, between lines that say which
 * context they are of.
 */
import { TENSOR_TYPES } from "../../ggml/tensor-types.ts";
import type { MemoryContext } from "../engine.ts";
import type { LlamaLibrary } from "./llama-library.ts";
import { LOAD_MODE_NONE } from "./llama-structs.ts";

export interface MeasureMemoryCall {
  readonly model: string;
  readonly contexts: readonly MemoryContext[];
  readonly gpuLayers: number;
}

/** Which contexts could be made; undefined where the model could not be loaded. */
export type MeasureMemoryReply = readonly boolean[] | undefined;

/** llama.cpp's own, which a context of fewer tokens makes smaller. */
const BATCH = 2048;

export function measureMemory(
  library: LlamaLibrary,
  { model: path, contexts, gpuLayers }: MeasureMemoryCall,
): MeasureMemoryReply {
  const params = library.modelDefaults();
  params.n_gpu_layers = gpuLayers;
  params.no_alloc = true;
  params.load_mode = LOAD_MODE_NONE;
  params.use_extra_bufts = false;
  const model = library.loadModel(path, params);
  if (model === null) return undefined;
  try {
    return contexts.map(({ context, parallel, kv, ubatch }) => {
      const asked = library.contextDefaults();
      asked.n_ctx = context;
      asked.n_batch = BATCH;
      asked.n_ubatch = ubatch;
      asked.n_seq_max = parallel;
      // as llama-server and llama-cli have it: no more than the window, and logits of one token a sequence
      asked.swa_full = false;
      asked.n_outputs_max = parallel;
      asked.type_k = TENSOR_TYPES[kv.k].id;
      asked.type_v = TENSOR_TYPES[kv.v].id;
      const made = library.initContext(model, asked);
      if (made === null) return false;
      library.freeContext(made);
      return true;
    });
  } finally {
    library.freeModel(model);
  }
}
