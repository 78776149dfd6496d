/**
 * A model's context: decodes batches of tokens that belong to several sequences. It is made anew when sequences of
 * another number or length are asked for, or pooled outputs instead of logits, since llama.cpp fixes all three when it
 * allocates its memory.
 */
import koffi from "koffi";
import { TENSOR_TYPES } from "../../ggml/tensor-types.ts";
import type { ModelLoadOptions, Pooling } from "../engine.ts";
import { attachThreads } from "./attach-threads.ts";
import type { LlamaLibrary, Pointer } from "./llama-library.ts";
import type { ContextParams } from "./llama-structs.ts";

/** llama-perplexity's default logical batch, tokens. */
export const BATCH_TOKENS = 2048;

export interface ContextShape {
  readonly sequences: number;
  /** Tokens of each sequence. */
  readonly length: number;
  /** Tokens decoded in one call. */
  readonly batchTokens: number;
  /** Outputs are one row per sequence, from the rank head or the pooled hidden states, instead of logits. */
  readonly pooling?: Pooling;
  /** All sequences have one memory of `length` tokens together, as branch() needs it. */
  readonly shared?: boolean;
  /** Called back for each node of the graph. */
  readonly watch?: Pointer;
}

/** `enum llama_pooling_type` of the poolings used here. */
const POOLING_TYPES = { mean: 1, cls: 2, last: 3, rank: 4 } as const satisfies Record<Pooling, number>;

/** Per token: its id, its position, its sequence, and 1 where its logits are wanted. */
export interface Batch {
  readonly tokens: Int32Array;
  readonly positions: Int32Array;
  readonly sequences: Int32Array;
  readonly outputs: Int8Array;
  /** In the place of the tokens, what their embedding would be: a row each. */
  readonly rows?: Float32Array;
}

/** As the first and the last position of a part of a sequence: all of it. */
const WHOLE = -1;

interface OpenContext {
  readonly shape: ContextShape;
  readonly pointer: Pointer;
  /** Absent: an encoder, which keeps none. */
  readonly memory?: Pointer;
  /** 0, 1, 2, …: what seq_id points into, one entry per sequence; kept here so that its address stays valid. */
  readonly sequenceIds: Int32Array;
}

export class Decoder {
  readonly #library: LlamaLibrary;
  readonly #model: Pointer;
  readonly #threads: number;
  readonly #kv: ModelLoadOptions["kv"];
  #context: OpenContext | undefined;
  /** What sequence 0 holds for branch(). */
  #stem: Int32Array | undefined;

  /** `kv`: types of the caches of keys and values; by default F16. */
  constructor(library: LlamaLibrary, model: Pointer, threads: number, kv?: ModelLoadOptions["kv"]) {
    this.#library = library;
    this.#model = model;
    this.#threads = threads;
    this.#kv = kv;
  }

  /** Empty the memory of all sequences. Throws an Error where a context can't be made. */
  start(shape: ContextShape): void {
    const context = this.#open(shape);
    this.#stem = undefined;
    if (context.memory !== undefined) this.#library.clearMemory(context.memory, true);
  }

  /** Start with these tokens in sequence 0, decoded by themselves. Nothing is done where it holds them already. */
  startWith(shape: ContextShape, stem: Int32Array): void {
    const open = this.#context;
    const held = open !== undefined && sameShape(open.shape, shape) ? this.#stem : undefined;
    if (held?.length === stem.length && held.every((id, index) => id === stem[index])) return;
    this.start(shape);
    this.run({
      tokens: stem,
      positions: stem.map((_, index) => index),
      sequences: new Int32Array(stem.length),
      outputs: new Int8Array(stem.length),
    });
    this.#stem = stem;
  }

  /** Make sequence 1 what startWith() put into sequence 0, and nothing more. No memory is copied. */
  branch(): void {
    const memory = this.#context?.memory;
    if (memory === undefined || this.#stem === undefined) throw new Error("branch() without startWith()");
    this.#library.removeSequence(memory, 1, WHOLE, WHOLE);
    this.#library.copySequence(memory, 0, 1, WHOLE, WHOLE);
  }

  /** Decode. Returns the address of the wanted logits in the order of the batch, valid until the next call. */
  decode(batch: Batch): Pointer {
    const logits = this.#library.logits(this.run(batch));
    if (logits === null) throw new Error("llama.cpp returned no logits");
    return logits;
  }

  /** Decode sequences, to their ends, in a context with pooling. Returns `width` values of each, in the order of the batch. */
  decodePooled(batch: Batch, width: number): Float32Array[] {
    const pointer = this.run(batch);
    return Array.from(new Set(batch.sequences), (sequence) => {
      const values = this.#library.pooled(pointer, sequence);
      if (values === null) throw new Error("llama.cpp returned no pooled output");
      return new Float32Array(koffi.view(values, width * Float32Array.BYTES_PER_ELEMENT)).slice();
    });
  }

  /** Decode for what a watch sees of it. Returns the context. */
  run(batch: Batch): Pointer {
    if (this.#context === undefined) throw new Error("decode() before start()");
    const { pointer, sequenceIds } = this.#context;
    const count = batch.tokens.length;
    const base = koffi.address(sequenceIds);
    const sequencePointers = BigUint64Array.from(batch.sequences, (sequence) => {
      return base + BigInt(sequence * Int32Array.BYTES_PER_ELEMENT);
    });
    const code = this.#library.decode(pointer, {
      n_tokens: count,
      token: batch.rows === undefined ? batch.tokens : null,
      embd: batch.rows ?? null,
      pos: batch.positions,
      n_seq_id: new Int32Array(count).fill(1),
      seq_id: sequencePointers,
      logits: batch.outputs,
    });
    if (code !== 0) throw new Error(`llama_decode failed with code ${code} on ${count} tokens`);
    return pointer;
  }

  /** Have something else decode one sequence into the context that was started, then read `width` values of its end. */
  decodeBy(work: (context: Pointer) => void, width: number): Float32Array {
    if (this.#context === undefined) throw new Error("decodeBy() before start()");
    const { pointer, shape } = this.#context;
    work(pointer);
    const values = shape.pooling === undefined ? this.#library.logits(pointer) : this.#library.pooled(pointer, 0);
    if (values === null) throw new Error("llama.cpp returned no output");
    return new Float32Array(koffi.view(values, width * Float32Array.BYTES_PER_ELEMENT)).slice();
  }

  /**
   * Whether memory that is written to a file and read again is as it was, down to the order of its cells, in which sums
   * are made: where a window slides, freed cells are not found again in that order.
   */
  keepsOrder(): boolean {
    return this.#library.slidingWindow(this.#model) === 0;
  }

  /** Bytes that saveState() would write. */
  stateBytes(): number {
    return Number(this.#library.stateBytes(this.#pointer()));
  }

  /** Write the memory of all sequences to a file. False where that failed. */
  saveState(path: string): boolean {
    return this.#library.saveState(this.#pointer(), path, null, 0);
  }

  /** Fill the memory from such a file, of the same model and shape. False where that failed. */
  loadState(path: string): boolean {
    const loaded = this.#library.loadState(this.#pointer(), path, new Int32Array(1), 1, new BigUint64Array(1));
    if (!loaded && this.#context?.memory !== undefined) this.#library.clearMemory(this.#context.memory, true);
    return loaded;
  }

  #pointer(): Pointer {
    if (this.#context === undefined) throw new Error("no context was started");
    return this.#context.pointer;
  }

  close(): void {
    if (this.#context !== undefined) this.#library.freeContext(this.#context.pointer);
    this.#context = undefined;
    this.#stem = undefined;
  }

  #open(shape: ContextShape): OpenContext {
    const { sequences, length, batchTokens } = shape;
    const open = this.#context;
    if (open !== undefined && sameShape(open.shape, shape)) return open;
    this.close();
    const params = this.#library.contextDefaults();
    params.kv_unified = shape.shared ?? false;
    params.n_ctx = shape.shared ? length : sequences * length;
    params.n_seq_max = sequences;
    params.n_batch = batchTokens;
    params.n_threads = this.#threads;
    params.n_threads_batch = this.#threads;
    // As common.h sets it for llama-perplexity.
    params.swa_full = false;
    if (this.#kv !== undefined) {
      params.type_k = TENSOR_TYPES[this.#kv.k].id;
      params.type_v = TENSOR_TYPES[this.#kv.v].id;
    }
    if (shape.pooling !== undefined) {
      params.embeddings = true;
      params.pooling_type = POOLING_TYPES[shape.pooling];
      // An encoder attends over its whole batch, as llama-server sets it for embeddings.
      params.n_ubatch = batchTokens;
    }
    if (shape.watch !== undefined) params.cb_eval = shape.watch;
    let pointer = this.#init(params, shape);
    const memory = this.#library.memory(pointer);
    if (memory === null && shape.pooling === undefined) {
      this.#library.freeContext(pointer);
      if (shape.watch === undefined) {
        throw new Error(
          "an encoder or embedding model predicts no next token: it has no perplexity and samples no text",
        );
      }
      params.embeddings = true;
      params.n_ubatch = batchTokens;
      pointer = this.#init(params, shape);
    }
    attachThreads(this.#library, pointer, this.#threads);
    this.#context = {
      shape,
      pointer,
      ...(memory === null ? {} : { memory }),
      sequenceIds: Int32Array.from({ length: sequences }, (_, i) => i),
    };
    return this.#context;
  }

  #init(params: ContextParams, { sequences, length }: ContextShape): Pointer {
    const pointer = this.#library.initContext(this.#model, params);
    if (pointer !== null) return pointer;
    const kv = this.#kv;
    throw new Error(
      kv === undefined
        ? `llama.cpp could not make a context of ${sequences} × ${length} tokens; out of memory? Try a smaller --context`
        : `llama.cpp could not make a context of ${sequences} × ${length} tokens with keys of ${kv.k} and values of ${kv.v}; a model whose heads are no whole blocks of these types can't have them: try another --kv`,
    );
  }
}

function sameShape(a: ContextShape, b: ContextShape): boolean {
  const keys = ["sequences", "length", "batchTokens", "pooling", "shared", "watch"] as const;
  return keys.every((key) => a[key] === b[key]);
}
