/**
 * Whether llama.cpp takes a model: it is loaded, a small context is made, which builds the graph of a decode and meets
 * the asserts on the way, and on request a token is decoded. Without a decode no weights are read and none are
 * allocated (no_alloc, as common/fit.cpp has it), so that a model of any size costs what its header does.
 */
import koffi from "koffi";
import type { LlamaLibrary, Pointer } from "./llama-library.ts";
import { LOAD_MODE_MMAP, LOAD_MODE_NONE } from "./llama-structs.ts";

export interface TryLoadCall {
  readonly model: string;
  readonly decode: boolean;
  readonly threads: number;
}

/** How far it got; why no further stands in the log. */
export type TryLoadReply = "done" | "no model" | "no context" | "no decode";

/** Tokens of the context, which llama.cpp rounds up. */
const CONTEXT = 32;

/** `llama_pooling_type` of a model whose hidden states are not pooled; below it: unspecified. */
const POOLING_NONE = 0;

export function tryLoad(library: LlamaLibrary, { model: path, decode, threads }: TryLoadCall): TryLoadReply {
  const params = library.modelDefaults();
  params.n_gpu_layers = 0;
  params.no_alloc = !decode;
  params.load_mode = decode ? LOAD_MODE_MMAP : LOAD_MODE_NONE;
  // Such buffers would hold copies of the weights.
  params.use_extra_bufts = false;
  const model = library.loadModel(path, params);
  if (model === null) return "no model";
  try {
    return tryContexts(library, model, { decode, threads });
  } finally {
    library.freeModel(model);
  }
}

type Asked = Pick<TryLoadCall, "decode" | "threads">;

/** As a model that predicts tokens, and as one that pools hidden states or an encoder is used. */
function tryContexts(library: LlamaLibrary, model: Pointer, asked: Asked): TryLoadReply {
  const params = library.contextDefaults();
  params.n_ctx = CONTEXT;
  params.n_batch = CONTEXT;
  params.n_ubatch = CONTEXT;
  params.n_threads = asked.threads;
  params.n_threads_batch = asked.threads;
  const context = library.initContext(model, params);
  if (context === null) return "no context";
  const pools = library.poolingType(context) > POOLING_NONE;
  const isEncoder = library.memory(context) === null;
  const reply = isEncoder ? "done" : decodeToken(library, model, context, asked);
  library.freeContext(context);
  if (reply !== "done" || !(pools || isEncoder)) return reply;

  params.embeddings = true;
  const pooling = library.initContext(model, params);
  if (pooling === null) return "no context";
  const pooled = decodeToken(library, model, pooling, asked);
  library.freeContext(pooling);
  return pooled;
}

function decodeToken(library: LlamaLibrary, model: Pointer, context: Pointer, { decode }: Asked): TryLoadReply {
  if (!decode) return "done";
  const vocab = library.vocab(model);
  const sequences = Int32Array.of(0);
  // a model without tokens of its own is given what an embedding would be
  const hasTokens = library.vocabSize(vocab) > 0;
  const batch = {
    n_tokens: 1,
    token: hasTokens ? Int32Array.of(Math.max(0, library.vocabBos(vocab))) : null,
    embd: hasTokens ? null : new Float32Array(library.inputSize(model)),
    pos: Int32Array.of(0),
    n_seq_id: Int32Array.of(1),
    seq_id: BigUint64Array.of(koffi.address(sequences)),
    logits: Int8Array.of(1),
  };
  const code = library.hasEncoder(model) ? library.encode(context, batch) : library.decode(context, batch);
  return code === 0 ? "done" : "no decode";
}
